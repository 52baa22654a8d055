"""Memory that only a collector can free, by the megabyte."""

from __future__ import annotations

MIB = 2**20


class Cycle:
    """Keeps a block of memory, and itself."""

    def __init__(self, size: int) -> None:
        # Written to, for memory that never was is not resident.
        self.block = bytearray(b"x") * size
        self.me = self


def hog(mib: int) -> list[Cycle]:
    """That much memory in blocks of 64 KiB, which come from malloc."""
    return [Cycle(MIB // 16) for _ in range(mib * 16)]
