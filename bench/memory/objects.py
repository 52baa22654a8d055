"""Small objects of which a process builds many, to drop them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcctl._process import twins

CHUNK = 1000
"""Objects built between two readings of the resident set."""


def cycle(number: int) -> object:
    """Of 64 to 376 bytes: from pymalloc. Only a collection frees it."""
    items: list[Any] = [None] * (1 + number % 40)
    items[0] = items
    return items


def block(number: int) -> object:
    """Of 600 to 2000 bytes: from malloc."""
    return bytearray(600 + number % 1400)


KINDS: dict[str, Callable[[int], object]] = {
    "cycles of up to 376 bytes": cycle,
    "objects of 600 to 2000 bytes": block,
}


def build(make: Callable[[int], object], size_bytes: int) -> list[object]:
    """Objects until the process has grown by so much."""
    enough = twins.memory.rss() + size_bytes
    objects: list[object] = []
    while twins.memory.rss() < enough:
        objects += map(make, range(len(objects), len(objects) + CHUNK))
    return objects
