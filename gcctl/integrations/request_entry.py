"""One request on its way through the servers and frameworks that each could mark it.

Whoever is furthest out begins it and leaves a mark, where those further in find it: in the WSGI
environ or the ASGI scope, or, for a server hook that has neither yet, in the context. So a request
counts once, and its boundary is that of the outermost.
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
    entry = holder[MARK] = begin()
    return entry


def note_failure(holder: MutableMapping[str, Any], exc: BaseException) -> None:
    """Note that the request of this environ or scope has failed with `exc`: `Entry.fail()`."""
    entry = holder.get(MARK)
    if entry is not None:
        entry.fail(exc)


def enter_server() -> None:
    """Begin a request in a server hook that has no environ yet; `enter()` in its context finds it.

    For servers that take a request from its start to its end in one thread, one at a time.
    """
    leave_server()  # one that the server gave up without a word
    outer.set(begin())


def leave_server(exc: BaseException | None = None) -> None:
    """The boundary of what `enter_server()` began in this context; without that nothing happens."""
    entry = outer.get()
    if entry is not None:
        outer.set(None)
        entry.leave(exc)
