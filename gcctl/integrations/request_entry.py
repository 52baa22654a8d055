"""A request that passes several integrations, such as a hook and a middleware, counts once.

The outermost integration begins the request and leaves a mark. The ones further in find the mark,
in the WSGI environ or the ASGI scope; a server hook that has neither yet leaves it in the context.
The boundary is the end of the request in the outermost integration.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final

from gcctl._core.protocol import Entry as Entry  # for integrations
from gcctl._process.twins import core

MARK: Final = "gcctl.request"
"""The key in the WSGI environ and in the ASGI scope. Its value is the `Entry` of the request."""

begin = core.begin  # looked up once: each request calls it

outer: Final[ContextVar[Entry | None]] = ContextVar(MARK, default=None)
"""The request that an integration further out has begun, where the environ has no mark of it."""


class Bridges:
    """Whether this process may have a bridge: an adapter that runs a WSGI application in an ASGI
    server.

    A bridge makes an environ of its own, but calls the application in the context of the request.
    So the ASGI middleware has to leave the entry in the context too. That costs 0.2 µs, and is done
    only where there is a WSGI application.
    """

    possible = False


def enter(holder: MutableMapping[str, Any]) -> Entry | None:
    """Begin the request of this environ or scope, and mark it.

    None when an integration further out has begun it: that one also ends it. The mark is its entry.
    """
    if MARK in holder:
        return None
    entry = outer.get()
    if entry is not None and not entry.left:
        holder[MARK] = entry
        return None
    entry = holder[MARK] = begin()
    return entry


def note_failure(holder: MutableMapping[str, Any], exc: BaseException) -> None:
    """Note that the request of this environ or scope has failed with `exc`: `Entry.fail()`."""
    entry = holder.get(MARK)
    if entry is not None:
        entry.fail(exc)


def enter_server() -> None:
    """Begin a request in a server hook that has no environ yet; `enter()` in its context finds it.

    For servers that handle each request in one thread from start to end, and one request at a time.
    """
    leave_server()  # a request before it, where the server did not call the hook for its end
    outer.set(begin())


def leave_server(exc: BaseException | None = None) -> None:
    """End the request that `enter_server()` began in this context; this is its boundary. Does
    nothing where there is none."""
    entry = outer.get()
    if entry is not None:
        outer.set(None)
        entry.leave(exc)
