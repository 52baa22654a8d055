"""What both twins of reading memory promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

MAX_TRIPS = 16
"""How many amounts of memory can be watched at once: more than a path has limited groups."""


class Trip(NamedTuple):
    """An amount of memory that is to be known when it is passed."""

    kind: Literal["rss", "number", "meminfo"]
    """This process's resident set, or what a file of the kernel holds: one number of bytes, or the
    fields of /proc/meminfo (total less available)."""
    path: str
    """The file; "" for the resident set."""
    above_bytes: int


class Memory(Protocol):
    """This process's memory and the groups it is in, read through descriptors kept open."""

    def rss(self) -> int:
        """Resident set size in bytes; -1 where this twin cannot tell on this system."""

    def watch(self, trips: Sequence[Trip]) -> None:
        """What `over` is to look at from now on. Raises ValueError for more than `MAX_TRIPS`."""

    def over(self) -> bool:
        """Whether any of them is passed, or cannot be read."""

    def trim(self) -> bool:
        """Give freed memory back to the system, with the GIL released; False where that cannot be
        done here."""

    def close(self) -> None:
        """Close the descriptors. What is watched counts as passed until `watch` opens it again; the
        resident set opens its own when it is read."""

    def after_fork(self) -> None:
        """In the child: what was open spoke of the parent."""
