"""One request on its way through the servers and frameworks that each could mark it.

Whoever is furthest out begins it and leaves a mark, where those further in find it: in the WSGI
environ or the ASGI scope, or, for a server hook that has neither yet, in the context. So a request
counts once, and its boundary is that of the outermost.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final

from gcctl._impl import core

MARK: Final = "gcctl.request"
"""The key in the WSGI environ and in the ASGI scope. Its value is the `Entry` of the request."""

# The core's functions, looked up once: each request calls all of them.
_begin, _end, _paused_ns = core.enter, core.exit, core.paused_ns

_process = object()
"""This process: a forked child has another one. What was open when it was forked is its parent's,
and the child's counters know nothing of it."""


def _after_fork() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Entry:
    """One request, as the servers and frameworks that meet on it share it. It begins when made."""

    __slots__ = ("_failure", "_pause_ns", "_process")

    def __init__(self) -> None:
        self._failure: type[Exception] | None = None
        self._process: object = _process  # in which it is in flight; None: it is over
        # While in flight the pauses of the process up to its start; later those inside it.
        self._pause_ns = _paused_ns()
        _begin()

    @property
    def gc_pause_ns(self) -> int:
        """Nanoseconds for which collections have stopped the process inside this request, up to now
        or up to its boundary. Others' collections are in it under `monitoring` and `auto` only; 0
        where gcctl is not installed."""
        before_ns = self._pause_ns
        if self._process is None:
            return self._pause_ns
        # Installing gcctl in the middle of a request sets the sum to 0.
        return max(_paused_ns() - before_ns, 0)

    @property
    def left(self) -> bool:
        """Whether its boundary was passed, or will be in the process that has forked this one."""
        return self._process is not _process

    def fail(self, exc: BaseException) -> None:
        """Note that it has failed with `exc`, for whoever leaves it may not see that: a framework
        has made a response of it. Only the type is kept, not what hangs on the traceback. What is
        no Exception has ended it from outside: it was cancelled, or its process is about to end."""
        if isinstance(exc, Exception):
            self._failure = type(exc)

    def leave(self, exc: BaseException | None = None) -> None:
        """The boundary: the request is over, and failed if `exc` says so or did before. A second
        call does nothing."""
        if exc is not None:
            self.fail(exc)
        failure = self._failure
        paused_ns = _paused_ns()
        # From here to the core nothing is called, so no other thread and no signal gets in between.
        if self._process is not _process:
            return
        self._process = None
        self._pause_ns = paused_ns - self._pause_ns if paused_ns > self._pause_ns else 0
        _end(failure, None, None)

    def __del__(self) -> None:
        # A response that its server has dropped and not closed, a coroutine that nobody finished.
        if self._process is _process:
            self.leave()


outer: Final[ContextVar[Entry | None]] = ContextVar(MARK, default=None)
"""The request further out where that has left no mark in the environ."""


class Bridges:
    """Adapters for WSGI applications in ASGI servers make an environ of their own, but call the
    application in the context of the request. To leave the entry there costs 0.2 us, so it is done
    only where there is such an application."""

    possible = False


def enter(holder: MutableMapping[str, Any]) -> Entry | None:
    """Begin the request of this environ or scope, and mark that.

    None when it has begun further out, and whoever has begun it will leave it: its entry is the
    mark then.
    """
    if MARK in holder:
        return None
    entry = outer.get()
    if entry is not None and not entry.left:
        holder[MARK] = entry
        return None
    entry = holder[MARK] = Entry()
    return entry


def note_failure(holder: MutableMapping[str, Any], exc: BaseException) -> None:
    """Note that the request of this environ or scope has failed with `exc`: `Entry.fail()`."""
    entry = holder.get(MARK)
    if isinstance(entry, Entry):
        entry.fail(exc)


def enter_server() -> None:
    """Begin a request in a server hook that has no environ yet; `enter()` in its context finds it.

    For servers that take a request from its start to its end in one thread, one at a time.
    """
    leave_server()  # one that the server gave up without a word
    outer.set(Entry())


def leave_server(exc: BaseException | None = None) -> None:
    """The boundary of what `enter_server()` began in this context; without that nothing happens."""
    entry = outer.get()
    if entry is not None:
        outer.set(None)
        entry.leave(exc)
