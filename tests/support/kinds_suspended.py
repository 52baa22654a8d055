"""Generators, coroutines, asynchronous generators and tasks, suspended wherever they can be.

What they do when they are closed checks that their payload is still whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any

from kinds_containers import dig
from payload import PROBLEMS, Busy, Kind, Payload, note_process, rise

Gen = Generator[Payload, Any, None]
Coro = Coroutine[Payload, Any, Any]


def check_at_the_end(payload: Payload) -> None:
    note_process()
    try:
        payload.check()
    except Exception as error:
        PROBLEMS.append(f"closing a frame: {error!r} {traceback.format_exc()}")


def plain(payload: Payload) -> Gen:
    while True:
        yield payload


def in_finally(payload: Payload) -> Gen:
    try:
        while True:
            yield payload
    finally:
        check_at_the_end(payload)


def in_except(payload: Payload) -> Gen:
    try:
        raise ValueError(payload)
    except ValueError:
        while True:
            yield payload


def in_with(payload: Payload) -> Gen:
    with contextlib.closing(in_finally(payload)) as inner:
        while True:
            yield next(inner)


def delegating(payload: Payload, depth: int = 3) -> Gen:
    yield from delegating(payload, depth - 1) if depth else in_finally(payload)


def within_a_call(payload: Payload) -> Gen:
    """References on the evaluation stack: borrowed ones, from 3.14."""
    while True:
        payload.itself(payload, [payload], payload.links, other=(yield payload))


def within_a_loop(payload: Payload) -> Gen:
    for found in iter(payload.itself, None):
        for again in (found,):
            yield again.itself(found)


def returning_to_itself(payload: Payload) -> Gen:
    me = yield payload
    while True:
        yield me and payload


def resurrecting(payload: Payload) -> Gen:
    try:
        while True:
            yield payload
    finally:
        check_at_the_end(payload)
        rise(payload.serial, payload)


@contextlib.contextmanager
def managed(payload: Payload) -> Gen:
    try:
        yield payload
    finally:
        check_at_the_end(payload)


def started(function: Callable[[Payload], Gen]) -> Callable[[Payload], Gen]:
    def make(payload: Payload) -> Gen:
        generator = function(payload)
        next(generator)
        return generator

    return make


def knows_itself(payload: Payload) -> Gen:
    generator = started(returning_to_itself)(payload)
    generator.send(generator)
    return generator


def entered(payload: Payload) -> Any:
    manager = managed(payload)
    manager.__enter__()
    return manager


def advance(generator: Any) -> Any:
    """One step of a generator or coroutine. ValueError: another thread is taking one."""
    try:
        return generator.send(None)
    except ValueError as error:
        raise Busy from error


class Step:
    def __init__(self, payload: Payload) -> None:
        self.payload = payload

    def __await__(self) -> Generator[Payload, Any, Payload]:
        yield self.payload
        return self.payload


async def awaiting(payload: Payload) -> None:
    while True:
        await Step(payload)


async def awaiting_deep(payload: Payload, depth: int = 3) -> None:
    try:
        await (awaiting_deep(payload, depth - 1) if depth else awaiting(payload))
    finally:
        check_at_the_end(payload)


class AsyncManager:
    """Not of contextlib: what that says depends on whom the collector finalizes first."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        check_at_the_end(self.payload)


async def in_async_with(payload: Payload) -> None:
    async with AsyncManager(payload):
        await awaiting(payload)


async def in_async_for(payload: Payload) -> None:
    async for found in yielding(payload):
        await Step(found)


async def within_an_async_call(payload: Payload) -> None:
    while True:
        payload.itself(payload, [payload], await Step(payload))


async def yielding(payload: Payload) -> AsyncGenerator[Payload, None]:
    try:
        while True:
            yield payload
    finally:
        check_at_the_end(payload)


async def yielding_after_awaiting(payload: Payload) -> AsyncGenerator[Payload, None]:
    await awaiting(payload)
    yield payload


@types.coroutine
def old_style(payload: Payload) -> Generator[Payload, Any, None]:
    yield from in_finally(payload)


def coroutine(function: Callable[[Payload], Awaitable[Any]]) -> Callable[[Payload], Any]:
    def make(payload: Payload) -> Any:
        made: Any = function(payload)
        made.send(None)
        return made

    return make


def async_generator(payload: Payload) -> Any:
    generator = yielding(payload)
    read_async_generator(generator)
    return generator


def read_async_generator(generator: AsyncGenerator[Payload, None]) -> Any:
    try:
        generator.asend(None).send(None)
    except StopIteration as stop:
        return stop.value
    except (ValueError, RuntimeError) as error:
        raise Busy from error
    raise AssertionError("it awaited")


def async_generator_awaiting(payload: Payload) -> Any:
    step: Any = yielding_after_awaiting(payload).asend(None)
    step.send(None)
    return step


def read_step(step: Any) -> Any:
    try:
        return step.send(None)
    except (ValueError, RuntimeError) as error:
        raise Busy from error


class StillLoop:
    """Just enough of an event loop for one task, which it runs one step at a time."""

    def __init__(self) -> None:
        self.ready: list[asyncio.Handle] = []

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        loop: Any = self
        handle = asyncio.Handle(callback, args, loop, context)
        self.ready.append(handle)
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        note_process()  # tasks that die pending come by here

    def create_future(self) -> asyncio.Future[Any]:
        loop: Any = self
        return asyncio.Future(loop=loop)

    def step(self) -> None:
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)  # type: ignore[arg-type]
        try:
            while self.ready:
                self.ready.pop()._run()
        finally:
            asyncio._set_running_loop(before)


async def waiting_for(future: asyncio.Future[Any], payload: Payload) -> Payload:
    try:
        await future
    finally:
        check_at_the_end(payload)
    return payload


async def failing(payload: Payload) -> None:
    raise ValueError(payload)


def task_of(loop: Any, coroutine: Coro) -> asyncio.Task[Any]:
    return asyncio.Task(coroutine, loop=loop)


def new_task(payload: Payload) -> Any:
    return task_of(StillLoop(), waiting_for(StillLoop().create_future(), payload))


def waiting_task(payload: Payload) -> Any:
    loop = StillLoop()
    task = task_of(loop, waiting_for(loop.create_future(), payload))
    loop.step()
    return task


def finished_task(payload: Payload) -> Any:
    loop = StillLoop()
    future = loop.create_future()
    task = task_of(loop, waiting_for(future, payload))
    loop.step()
    future.set_result(None)
    loop.step()
    return task


def failed_task(payload: Payload) -> Any:
    loop = StillLoop()
    task = task_of(loop, failing(payload))
    loop.step()
    return task


def cancelled_task(payload: Payload) -> Any:
    task = waiting_task(payload)
    task.cancel(payload)
    return task


def future_with_result(payload: Payload) -> Any:
    future = StillLoop().create_future()
    future.set_result(payload)
    return future


def future_with_callbacks(payload: Payload) -> Any:
    future = StillLoop().create_future()
    future.add_done_callback(payload.itself)
    future.add_done_callback(lambda _: payload)
    return future


SUSPENDED = [
    Kind("unstarted generator", in_finally, dig),
    Kind("generator", started(plain), advance),
    Kind("generator in finally", started(in_finally), advance),
    Kind("generator in except", started(in_except), advance),
    Kind("generator in with", started(in_with), advance),
    Kind("generator in yield from", started(delegating), advance),
    Kind("generator within a call", started(within_a_call), advance),
    Kind("generator within a loop", started(within_a_loop), advance),
    Kind("generator that knows itself", knows_itself, advance),
    Kind("generator that resurrects", started(resurrecting), advance),
    Kind("generator expression", lambda p: (p for _ in iter(p.itself, None)), advance),
    Kind("context manager", entered, dig),
    Kind("unstarted coroutine", awaiting, dig),
    Kind("coroutine", coroutine(awaiting), advance),
    Kind("deep coroutine", coroutine(awaiting_deep), advance),
    Kind("coroutine in async with", coroutine(in_async_with), advance),
    Kind("coroutine in async for", coroutine(in_async_for), advance),
    Kind("coroutine within a call", coroutine(within_an_async_call), advance),
    Kind("generator-based coroutine", coroutine(old_style), advance),
    Kind("async generator", async_generator, read_async_generator),
    Kind("async generator in await", async_generator_awaiting, read_step),
    Kind("new task", new_task, dig),
    Kind("waiting task", waiting_task, dig),
    Kind("finished task", finished_task, lambda o: o.result()),
    Kind("failed task", failed_task, lambda o: o.exception().args[0]),
    Kind("cancelled task", cancelled_task, dig),
    Kind("future with a result", future_with_result, lambda o: o.result()),
    Kind("future with callbacks", future_with_callbacks, dig),
]
if sys.version_info >= (3, 12):

    def eager_task(payload: Payload) -> Any:
        loop = StillLoop()
        coroutine = waiting_for(loop.create_future(), payload)
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(loop)  # type: ignore[arg-type]
        try:
            return asyncio.Task(coroutine, loop=loop, eager_start=True)
        finally:
            asyncio._set_running_loop(before)

    SUSPENDED.append(Kind("eager task", eager_task, dig))
