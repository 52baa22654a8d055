"""`gcctl.request` as a context manager and on every kind of function; `run_request`."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Protocol, TypeVar

import pytest

import gcctl

F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    def __call__(self, func: F, /) -> F: ...


@pytest.fixture(autouse=True)
def installed() -> None:
    gcctl.install()


def counts() -> tuple[int, int, int]:
    stats = gcctl.stats()
    return stats.requests, stats.failures, stats.in_flight


@pytest.mark.parametrize("decorator", [gcctl.request, gcctl.request()])
class TestDecorator:
    def test_plain_function(self, decorator: Decorator) -> None:
        @decorator
        def handler(a: int, *, b: int = 2) -> int:
            """Adds."""
            assert gcctl.stats().in_flight == 1
            return a + b

        assert handler(1, b=3) == 4
        assert counts() == (1, 0, 0)
        assert handler.__name__ == "handler"
        assert handler.__doc__ == "Adds."
        assert str(inspect.signature(handler)) == "(a: 'int', *, b: 'int' = 2) -> 'int'"

    def test_method(self, decorator: Decorator) -> None:
        class View:
            @decorator
            def get(self) -> View:
                return self

            @staticmethod
            @decorator
            def head() -> int:
                return 1

            @decorator
            @staticmethod
            def options(value: int) -> int:
                return value

        view = View()
        assert view.get() is view
        assert View.head() == 1
        assert view.options(3) == 3
        assert counts() == (3, 0, 0)

    def test_coroutine_function_lasts_until_awaited(self, decorator: Decorator) -> None:
        @decorator
        async def handler(value: int) -> int:
            await asyncio.sleep(0)
            assert gcctl.stats().in_flight >= 1
            return value

        assert inspect.iscoroutinefunction(handler)

        async def main() -> list[int]:
            return await asyncio.gather(*map(handler, range(10)))

        assert asyncio.run(main()) == list(range(10))
        assert counts() == (10, 0, 0)

    def test_generator_function_lasts_for_the_whole_iteration(self, decorator: Decorator) -> None:
        @decorator
        def stream() -> Generator[int, str, str]:
            got = yield 1
            with pytest.raises(KeyError):
                yield 2
            return got

        iterator = stream()
        assert counts() == (0, 0, 0)
        assert next(iterator) == 1
        assert counts() == (0, 0, 1)
        assert iterator.send("sent") == 2
        with pytest.raises(StopIteration) as stop:
            iterator.throw(KeyError())
        assert stop.value.value == "sent"
        assert counts() == (1, 0, 0)

    def test_abandoned_generator_ends_its_request(self, decorator: Decorator) -> None:
        @decorator
        def stream() -> Generator[int, None, None]:
            yield from range(10)

        iterator = stream()
        next(iterator)
        del iterator
        gc.collect()
        assert counts()[2] == 0

    def test_callable_object_and_partial(self, decorator: Decorator) -> None:
        class Handler:
            async def __call__(self, value: int) -> int:
                return value

        assert asyncio.run(decorator(Handler())(5)) == 5
        assert decorator(functools.partial(divmod, 7))(2) == (3, 1)
        assert decorator(len)("four") == 4
        assert counts() == (3, 0, 0)


def test_async_generator_passes_on_what_is_sent_and_thrown() -> None:
    seen: list[object] = []

    @gcctl.request
    async def stream() -> AsyncGenerator[int, str]:
        try:
            seen.append((yield 1))
            try:
                yield 2
            except KeyError as error:
                seen.append(error)
                yield 3
        finally:
            seen.append("closed")

    async def main() -> None:
        iterator = stream()
        assert await anext(iterator) == 1
        assert await iterator.asend("sent") == 2
        error = KeyError()
        assert await iterator.athrow(error) == 3
        assert gcctl.stats().in_flight == 1
        await iterator.aclose()
        assert seen == ["sent", error, "closed"]
        assert [item async for item in stream()] == [1, 2]

    asyncio.run(main())
    assert counts()[2] == 0


def test_decorated_generators_still_make_context_managers() -> None:
    """As FastAPI's and pytest's dependencies with `yield` do."""

    @contextmanager
    @gcctl.request
    def sync() -> Generator[int, None, None]:
        with suppress(ZeroDivisionError):
            yield 1

    @asynccontextmanager
    @gcctl.request
    async def asynchronous() -> AsyncGenerator[int, None]:
        with suppress(ZeroDivisionError):
            yield 1

    async def main() -> None:
        async with asynchronous() as value:
            assert value / 0

    with sync() as value:
        assert value / 0
    asyncio.run(main())
    assert counts() == (2, 0, 0)


class AsyncCallable:
    async def __call__(self) -> int:
        return gcctl.stats().in_flight


class View:
    @staticmethod
    async def handler() -> int:
        return gcctl.stats().in_flight


@types.coroutine
def awaitable_generator() -> Generator[None, None, int]:
    yield
    return gcctl.stats().in_flight


@pytest.mark.parametrize(
    "handler",
    [
        AsyncCallable(),
        View.__dict__["handler"],
        functools.partial(View.handler),
        functools.partial(AsyncCallable()),
        awaitable_generator,
    ],
    ids=["callable object", "staticmethod", "partial", "partial of object", "types.coroutine"],
)
@pytest.mark.parametrize("door", [lambda f: gcctl.request(f)(), gcctl.run_request])
def test_whatever_is_awaited_is_a_request_until_then(door: Any, handler: Any) -> None:
    assert asyncio.run(door(handler)) == 1
    assert counts() == (1, 0, 0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no markcoroutinefunction before 3.12")
def test_objects_marked_as_coroutine_functions_are() -> None:
    """As Django's asynchronous middleware is."""

    class Middleware:
        def __init__(self) -> None:
            inspect.markcoroutinefunction(self)  # type: ignore[attr-defined]

        def __call__(self) -> Coroutine[Any, Any, int]:
            return View.handler()

    assert asyncio.run(gcctl.request(Middleware())()) == 1


def test_run_request_of_a_generator_function_lasts_for_the_iteration() -> None:
    def stream() -> Generator[int, None, None]:
        yield gcctl.stats().in_flight

    assert list(gcctl.run_request(stream)) == [1]
    assert counts() == (1, 0, 0)


@pytest.mark.parametrize("value", [5, "handler", int, object()])
def test_only_functions_can_be_decorated(value: object) -> None:
    with pytest.raises(TypeError, match="takes a function"):
        gcctl.request(value)  # type: ignore[call-overload]


def test_context_can_be_kept_entered_again_and_nested() -> None:
    context = gcctl.request()
    with context, context, context:
        assert counts() == (0, 0, 3)
    assert counts() == (3, 0, 0)


def test_run_request_passes_arguments_results_and_exceptions() -> None:
    def handler(*args: int, **kwargs: int) -> object:
        assert gcctl.stats().in_flight == 1
        return args, kwargs

    assert gcctl.run_request(handler, 1, 2, handler=3) == ((1, 2), {"handler": 3})
    with pytest.raises(ZeroDivisionError):
        gcctl.run_request(divmod, 1, 0)
    assert counts() == (2, 1, 0)


def test_run_request_of_a_coroutine_function_is_awaited() -> None:
    async def handler(value: int) -> int:
        await asyncio.sleep(0)
        return value

    assert asyncio.run(gcctl.run_request(handler, 5)) == 5
    assert counts() == (1, 0, 0)


def test_exit_of_a_request_never_entered_is_ignored() -> None:
    gcctl.request().__exit__(None, None, None)
    assert counts() == (0, 0, 0)
    assert gcctl.stats().unmatched_exits == 1
    assert "never entered" in gcctl.report()
