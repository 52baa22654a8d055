"""The middleware: where Django's requests begin and end; and the first request installs gcctl."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

from gcctl.integrations._install import Settings, expected, install_here
from gcctl.integrations.request_entry import Bridges, Entry, enter, note_failure

PATH = "gcctl.integrations.django.GcctlMiddleware"
"""For `settings.MIDDLEWARE`."""


class GcctlMiddleware:
    """Each request is a request of gcctl; its boundary comes when the response is closed."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        else:
            Bridges.possible = True
        listen(default=None)

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._acall(request)
        entry = enter(_holder(request))
        try:
            response = self.get_response(request)
        except BaseException as error:  # rare: Django turns most exceptions into responses
            if entry is not None:
                entry.leave(error)
            raise
        if entry is not None:
            _when_closed(response, _Leave(entry))
        return response

    async def _acall(self, request: Any) -> Any:
        entry = enter(_holder(request))
        try:
            response = await self.get_response(request)
        except BaseException as error:  # the task was cancelled: no failure
            if entry is not None:
                entry.leave(error)
            raise
        if entry is not None:
            _when_closed(response, _Leave(entry, asyncio.get_running_loop()))
        return response


def _holder(request: Any) -> Any:
    """The ASGI scope, or the WSGI environ."""
    return getattr(request, "scope", request.META)


def _when_closed(response: Any, leave: Callable[[], None]) -> None:
    # Django has this list for the files of a response. To replace `close` would make a cycle.
    try:
        response._resource_closers.append(leave)
    except AttributeError:  # not one of Django's responses
        leave()


class _Leave:
    """The boundary, called when a response is closed. A pickled response, as caches make, has
    none."""

    __slots__ = ("_entry", "_loop")

    def __init__(self, entry: Entry, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._entry = entry
        self._loop = loop

    def __call__(self) -> None:
        if self._loop is not None:
            # Django closes responses in its thread for synchronous code. The boundary belongs in
            # the event loop.
            try:
                self._loop.call_soon_threadsafe(self._entry.leave)
                return
            except RuntimeError:  # the loop is closed
                pass
        self._entry.leave()

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return _nothing, ()


def _nothing() -> Callable[[], object]:
    return int  # does nothing when it is called


# Written while Django is set up, and by the first request.
_default: Settings | None = None


def listen(*, default: Settings | None) -> None:
    """Connect to Django's signals. `default` is installed where there is no `settings.GCCTL`."""
    global _default
    _default = _default if default is None else default
    # Connecting a second time changes nothing.
    signals.request_started.connect(_install)
    signals.got_request_exception.connect(_note_failure)


def _install(sender: Any, **_: Any) -> None:
    # The handlers of Django's test clients are not servers.
    if not isinstance(sender, type) or not issubclass(sender, (WSGIHandler, ASGIHandler)):
        return
    given = getattr(settings, "GCCTL", _default)
    if given is None and expected.ask():
        return
    signals.request_started.disconnect(_install)
    if given is not None:
        install_here(given, "gcctl.integrations.django")


def _note_failure(sender: Any, request: Any = None, **_: Any) -> None:
    # Django turns an exception into a response, so the middleware does not see it.
    error = sys.exc_info()[1]
    if error is not None and request is not None:
        note_failure(_holder(request), error)
