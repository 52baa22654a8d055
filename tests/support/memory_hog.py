"""Memory that is resident, by the megabyte, and back with the system once it is freed.

Each block is mapped on its own: malloc would take it from what earlier tests have left in its heap.
"""

from __future__ import annotations

import mmap

MIB = 2**20
LITTLE = MIB  # no Python process is that small


def block(mib: int) -> mmap.mmap:
    memory = mmap.mmap(-1, mib * MIB)
    memory.write(b"x" * len(memory))  # what was never written to is not resident
    return memory


class Cycle:
    """Keeps a megabyte, and itself: only a collector can free it."""

    def __init__(self) -> None:
        self.block = block(1)
        self.me = self


def hog(mib: int) -> list[Cycle]:
    return [Cycle() for _ in range(mib)]
