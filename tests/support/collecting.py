"""What only a collector can free, and who collects when."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import gcctl


class Node:
    """Something that only the garbage collector can free."""

    def __init__(self) -> None:
        self.me = self


def collector_works() -> bool:
    """Whether a collection finds garbage: in some forked children none ever does."""
    Node()
    return gc.collect() > 0


def requested() -> int:
    return gcctl.stats().collections_by_reason.requested


@contextmanager
def collections() -> Iterator[list[int]]:
    """The generations of the collections that run meanwhile, whoever causes them."""
    seen: list[int] = []

    def callback(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            seen.append(info["generation"])

    gc.callbacks.append(callback)
    try:
        yield seen
    finally:
        gc.callbacks.remove(callback)
