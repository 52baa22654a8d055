"""One request on its way through the servers and frameworks that each could mark it.

Whoever is furthest out begins it and leaves a mark, where those further in find it: in the WSGI
environ or the ASGI scope, or, for a server hook that has neither yet, with the thread. So a request
counts once, and its boundary is that of the outermost.
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from typing import Any, Final

from gcctl._impl import core

MARK: Final = "gcctl.request"
"""The key in the WSGI environ and in the ASGI scope. Its value is the `Entry` of the request."""

# The core's functions, looked up once: each request calls all of them.
_begin, _end, _paused_ns = core.enter, core.exit, core.paused_ns


class Entry:
    """One request, as the servers and frameworks that meet on it share it. It begins when made."""

    __slots__ = ("_failure", "_left", "_pause_ns")

    def __init__(self) -> None:
        self._failure: type[Exception] | None = None
        self._left = False
        # While in flight the pauses of the process up to its start; later those inside it.
        self._pause_ns = _paused_ns()
        _begin()

    @property
    def gc_pause_ns(self) -> int:
        """Nanoseconds for which collections have stopped the process inside this request, up to now
        or up to its boundary. Others' collections are in it under `monitoring` and `auto` only; 0
        where gcctl is not installed."""
        before_ns = self._pause_ns
        if self._left:
            return self._pause_ns
        # Installing gcctl in the middle of a request sets the sum to 0.
        return max(_paused_ns() - before_ns, 0)

    @property
    def left(self) -> bool:
        """Whether its boundary was passed."""
        return self._left

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
        if self._left:
            return
        self._left = True
        self._pause_ns = paused_ns - self._pause_ns if paused_ns > self._pause_ns else 0
        _end(failure, None, None)

    def __del__(self) -> None:
        # A response that its server has dropped and not closed, a coroutine that nobody finished.
        if not self._left:
            self.leave()


class _Server(threading.local):
    entry: Entry | None = None


_server = _Server()


def enter(holder: MutableMapping[str, Any]) -> Entry | None:
    """Begin the request of this environ or scope, and mark that.

    None when it has begun further out, and whoever has begun it will leave it: its entry is the
    mark then.
    """
    if MARK in holder:
        return None
    entry = _server.entry
    if entry is not None:
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
    """Begin a request in a server hook that has no environ yet; `enter()` in this thread finds it.

    For servers that take a request from its start to its end in one thread, one at a time.
    """
    leave_server()  # one that the server gave up without a word
    _server.entry = Entry()


def leave_server(exc: BaseException | None = None) -> None:
    """The boundary of what `enter_server()` began in this thread; without that nothing happens."""
    entry, _server.entry = _server.entry, None
    if entry is not None:
        entry.leave(exc)
