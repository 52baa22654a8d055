"""What `gcctl.request()` returns, and functions turned into requests."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class RequestContext:
    """A request: `with`, `async with`, or a decorator.

    It has no state of its own, so one object serves every request. It may be kept, entered again
    while entered, and shared between threads and tasks.
    """

    __slots__ = ()

    # In place of these two, make_context() puts the core's own functions.

    def __enter__(self) -> RequestContext:
        raise NotImplementedError

    def __exit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        raise NotImplementedError

    def __call__(self, func: F) -> F:
        return decorate(self, func)

    async def __aenter__(self) -> RequestContext:
        return self.__enter__()

    async def __aexit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        self.__exit__(exc_type, exc, traceback)


Wrapper = Callable[[RequestContext, Callable[..., Any]], Callable[..., Any]]


def make_context(
    enter: Callable[[], Any], leave: Callable[[Any, Any, Any], None]
) -> RequestContext:
    """A context manager whose type holds the two *bound* functions.

    `with` looks the two up on the type. If they were methods, that would make two bound method
    objects for every request. A bound function is no descriptor, so it is called as it stands, and
    an empty `with` takes half as long (bench/candidates.py has both forms).
    """
    namespace = {"__slots__": (), "__enter__": enter, "__exit__": leave}
    context: RequestContext = type("RequestContext", (RequestContext,), namespace)()
    return context


def decorate(context: RequestContext, func: F) -> F:
    """`func` as a request: its call, its awaiting, or the whole iteration of a generator.

    Raises TypeError when `func` is not callable or is a class.
    """
    if not callable(func) or isinstance(func, type):
        raise TypeError(
            f"gcctl.request takes a function (plain, async, generator or async generator) "
            f"or nothing, not {func!r}"
        )
    if isinstance(func, staticmethod):
        return cast(F, staticmethod(decorate(context, func.__func__)))
    wrapper = wrapper_for(func)(context, func)
    functools.update_wrapper(wrapper, func)
    return cast(F, wrapper)


def wrapper_for(func: Any) -> Wrapper:
    """The wrapper that makes requests of the calls of this kind of callable."""
    while isinstance(func, functools.partial):
        func = func.func
    # A staticmethod has its function in __func__, a callable object in __call__.
    for body in (func, getattr(func, "__func__", None), getattr(func, "__call__", None)):  # noqa: B004
        wrapper = _wrapper_of(body)
        if wrapper is not None:
            return wrapper
    return _plain


def _plain(context: RequestContext, func: Callable[..., Any]) -> Callable[..., Any]:
    def request(*args: Any, **kwargs: Any) -> Any:
        with context:
            return func(*args, **kwargs)

    return request


def _coroutine(context: RequestContext, func: Callable[..., Any]) -> Callable[..., Any]:
    async def request(*args: Any, **kwargs: Any) -> Any:
        with context:
            return await func(*args, **kwargs)

    return request


def _generator(context: RequestContext, func: Callable[..., Any]) -> Callable[..., Any]:
    def request(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with context:
            return (yield from func(*args, **kwargs))

    return request


def _async_generator(context: RequestContext, func: Callable[..., Any]) -> Callable[..., Any]:
    async def request(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with context:
            inner = func(*args, **kwargs)
            try:
                item = await anext(inner)
                while True:
                    # An async generator has no `yield from`: values and exceptions that come in
                    # are passed on by hand.
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        item = await inner.athrow(error)
                    else:
                        item = await inner.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

    return request


def _wrapper_of(body: Any) -> Wrapper | None:
    import inspect  # for decorators: it takes longer to import than all of gcctl

    # A generator function may have been made awaitable by types.coroutine.
    flags = getattr(getattr(body, "__code__", None), "co_flags", 0)
    if inspect.iscoroutinefunction(body) or flags & inspect.CO_ITERABLE_COROUTINE:
        return _coroutine
    if inspect.isasyncgenfunction(body):
        return _async_generator
    return _generator if inspect.isgeneratorfunction(body) else None
