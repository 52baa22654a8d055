"""What every object of a test graph carries: a canary, links, and a record of its end.

The record is kept without weak references or finalizers on what is tested, for they would change
it: a beacon is freed with its payload, and the collector does not know of it.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
from collections.abc import Callable
from typing import Any, NamedTuple


class Violation(AssertionError):
    """Something live was taken apart, or something dead came twice."""


class Busy(Exception):
    """Not to be looked into: another thread is inside just now, or it was closed."""


ALIVE: dict[int, str] = {}
"""The kind of every payload that has not been freed, by serial number."""

AWAITING_FINALIZER: set[int] = set()
"""Serial numbers whose finalizer has not run."""

PROBLEMS: list[str] = []
"""What finalizers found wrong: an exception in one would only be printed."""

RISEN: list[Any] = []
"""What finalizers brought back to life."""

LINKS: dict[int, set[int]] = {}
"""What each payload leads to, or once did. Numbers only: this keeps nothing alive."""

FINALIZED: set[int] = set()
"""What came back to life with others whose finalizers had run: weak references cleared, generators
closed, which may have freed the payload. That is as it should be. Never shrinks by itself."""

_SERIALS = itertools.count(1)
_INTACT = object()
_owner = os.getpid()
_seen_from_outside = mmap.mmap(-1, mmap.PAGESIZE)  # shared with every child


def _after_fork() -> None:
    global _owner
    _owner = os.getpid()


os.register_at_fork(after_in_child=_after_fork)  # a raw clone does not come by here


def note_process() -> None:
    """Leave a mark where the parent finds it, when this runs in a child made without a fork."""
    if os.getpid() != _owner:
        _seen_from_outside[0] = 1


def ran_in_a_child() -> bool:
    return bool(_seen_from_outside[0])


def came_back(serial: int) -> None:
    """Whatever this leads to may have been finalized, but must be whole."""
    seen: set[int] = set()
    found = [serial]
    while found:
        number = found.pop()
        if number not in seen:
            seen.add(number)
            found += list(LINKS.get(number, ()))
    FINALIZED.update(seen)


def rise(serial: int, thing: Any) -> None:
    """To be called by finalizers that bring something back."""
    came_back(serial)
    RISEN.append(thing)


def finalized(serial: int) -> None:
    """To be called by finalizers."""
    note_process()
    try:
        AWAITING_FINALIZER.remove(serial)
    except KeyError:
        PROBLEMS.append(f"the finalizer of {serial} ran twice")


_untrack = ctypes.pythonapi.PyObject_GC_UnTrack
_untrack.argtypes = [ctypes.py_object]
_untrack.restype = None


class Beacon(int):
    """An integer that tells its end."""

    __slots__ = ()

    def __new__(cls, serial: int) -> Beacon:
        beacon = super().__new__(cls, serial)
        _untrack(beacon)  # the collector would run its finalizer before it is freed
        return beacon

    def __del__(self) -> None:
        note_process()
        if ALIVE.pop(int(self), None) is None:
            PROBLEMS.append(f"{int(self)} was freed twice")
        LINKS.pop(int(self), None)


class Payload:
    """Lies in every object of a graph, and leads to others."""

    __slots__ = ("__weakref__", "beacon", "links")

    def __init__(self, kind: str) -> None:
        serial = next(_SERIALS)
        ALIVE[serial] = kind
        LINKS[serial] = set()
        self.beacon = Beacon(serial)
        self.links: list[Any] = [_INTACT]

    @property
    def serial(self) -> int:
        return int(self.beacon)

    def link(self, node: Node) -> None:
        LINKS[self.serial].add(node.serial)
        self.links.append(node)

    def unlink(self) -> None:
        """Without emptying the list even for a moment: other threads look at it."""
        del self.links[1:]

    def check(self) -> None:
        """Raise where the collector has taken this apart: it clears slots and empties lists."""
        if type(self) is not Payload or self.links[0] is not _INTACT:
            raise Violation("the payload was taken apart")
        if self.serial not in ALIVE:
            raise Violation(f"{self.serial} was freed")

    def itself(self, *_: object, **__: object) -> Payload:
        return self


class Kind(NamedTuple):
    """One way to lead to a payload."""

    name: str
    make: Callable[[Any], Any]
    """Takes a payload."""
    read: Callable[[Any], Any]
    """The payload again, found by using the object. May raise Busy."""
    attach: Callable[[Any, Any], object] | None = None
    """Add a reference to anything else, where the object can take one directly."""


class Node(NamedTuple):
    """A strong reference to an object of a graph, with what is expected to be found in it."""

    kind: Kind
    thing: Any
    serial: int

    def payload(self) -> Payload:
        """Raises Busy, and Violation where the object is no longer what it was."""
        try:
            found = self.kind.read(self.thing)
            found.check()
            serial = found.serial
        except (Busy, Violation):
            raise
        except Exception as error:
            if self.serial in FINALIZED:
                raise Busy from error
            raise Violation(f"{self.kind.name} {self.serial}: {error!r}") from error
        if serial != self.serial:
            raise Violation(f"{self.kind.name} {self.serial}: holds {serial}")
        assert isinstance(found, Payload)
        return found
