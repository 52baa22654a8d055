"""The request boundary as services call it, bound to the process's core."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar, cast, overload

from gcctl._core.request import F, RequestContext, wrapper_for
from gcctl._process import forked
from gcctl._process.twins import core

FORKS = forked
"""Imported here, because whoever counts requests must follow forks."""

P = ParamSpec("P")
R = TypeVar("R")


class _Request(Protocol):
    @overload
    def __call__(self) -> RequestContext: ...
    @overload
    def __call__(self, func: F, /) -> F: ...


# The core's own functions and not wrappers of them: a call more would double the cost.

request: _Request = core.request
"""`with gcctl.request():` around a request, or `@gcctl.request` on its handler.

The handler may be a function, a coroutine function, a generator or an async generator function (its
whole iteration is the request). What `gcctl.request()` returns may be kept and entered again, from
several threads and tasks at once, nested too; each exit is one boundary. Exceptions pass through.
Without `install()` it does nothing.
"""

tick: Callable[[], None] = core.tick
"""A boundary for hooks that have no context: one unit of work is done. Without `install()` it does
nothing."""


def run_request(handler: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `handler(*args, **kwargs)` inside a request and return what it returns.

    What a coroutine function returns is to be awaited, what a generator function returns to be
    iterated, and the request ends with that.
    """
    context: RequestContext = core.request()
    return cast(R, wrapper_for(handler)(context, handler)(*args, **kwargs))
