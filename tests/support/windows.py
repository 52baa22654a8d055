"""The window of a concurrent collection as its child's parent sees it: for tests to act in."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gcctl
from gcctl._concurrent.feasibility import Feasibility

OBJECT_DOMAIN = 2
EVEN_CLONES = 0x40000000
"""__WALL: also children that send no signal when they end."""


class Allocator(ctypes.Structure):
    _fields_ = (
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


FUNCTIONS = ("context", "malloc", "calloc", "realloc", "free")


def allocator() -> tuple[int | None, ...]:
    """What CPython allocates objects with, to be compared; its context and functions."""
    found = Allocator()
    ctypes.pythonapi.PyMem_GetAllocator(OBJECT_DOMAIN, ctypes.byref(found))
    return tuple(getattr(found, name) for name in FUNCTIONS)


def state_of(process: int) -> str:
    """R, S, T, Z ... as in `ps`; "" when it is gone."""
    try:
        return _fields(_text_of(f"/proc/{process}/stat"))[0]
    except OSError:
        return ""


def _text_of(path: str) -> str:
    # A pathlib.Path of 3.12 keeps its parts for ever (interned): a process id each time is a leak.
    with open(path) as file:
        return file.read()


def _fields(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()  # the name before it may be anything


def children() -> set[int]:
    """Processes that this one has made, by whichever thread. Zombies too."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with suppress(OSError):
            found.update(map(int, _text_of(f"/proc/self/task/{task}/children").split()))
    return found


def hurry() -> None:
    """Give the child its share of the processor, where that is allowed: else it has what others
    leave, which on a busy machine is next to nothing."""
    for child in children():
        with suppress(OSError):
            os.sched_setscheduler(child, os.SCHED_OTHER, os.sched_param(0))


def answer(handle: Any) -> Any:
    """Wait for the child, while nothing else is done here."""
    while not handle.ready:
        hurry()
        time.sleep(0.0005)
    return handle


def runs(handle: Any) -> bool:
    """(A function, for the type checker believes that what was None once is so for ever.)"""
    return handle.outcome is None


def unreaped() -> int:
    """How many children there are that nobody has waited for, however they were made."""
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | EVEN_CLONES)
        return max(len(children()), 1)
    return 0


def descriptors() -> list[str]:
    """What the open descriptors lead to, but for those by which gcctl reads its memory."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(path for path in found if not path.startswith(("/proc/", "/sys/")))


def always_feasible() -> None:
    """No more falling back because that is expected to take less time, or after failures."""
    Feasibility.why_not = lambda *expected: ""  # type: ignore[method-assign]


@functools.cache
def fallback() -> str | None:
    """Why no collection can be concurrent here; None where one can."""
    handle = answer(gcctl.collect_concurrently())
    handle.finish()
    return handle.outcome if str(handle.outcome).startswith("fallback") else None


@contextmanager
def stopped_child(start: Callable[[], Any]) -> Iterator[tuple[Any, int]]:
    """The handle that `start` returns, and its child, which does not get on meanwhile.

    It is stopped when it has settled down. The heap has to be large enough for it to be busy then.
    """
    before = children()
    handle = start()
    (child,) = children() - before
    while os.sched_getscheduler(child) != os.SCHED_IDLE and state_of(child) not in ("Z", ""):
        time.sleep(0.0001)
    os.kill(child, signal.SIGSTOP)
    while state_of(child) not in ("T", "Z", ""):
        time.sleep(0.001)
    assert state_of(child) == "T", "the child was faster"
    assert not handle.ready, "the child was faster"
    try:
        yield handle, child
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)


def bulk(objects: int) -> list[Any]:
    """Live objects that keep a child busy: some 30 ms for 300,000."""
    return [[None] for _ in range(objects)]


def collected() -> Any:
    """The handle of a collection in whose window nothing happens."""
    handle = answer(gcctl.collect_concurrently())
    handle.finish()
    assert handle.outcome == "collected", handle.outcome
    return handle
