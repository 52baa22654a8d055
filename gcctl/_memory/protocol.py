"""What both twins of the memory reader promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

MAX_THRESHOLDS = 16
"""Thresholds that can be watched at once: more than a process has control groups with a limit."""


class Threshold(NamedTuple):
    """An amount of memory in use; `Memory.over` tells when it is passed."""

    kind: Literal["rss", "number", "meminfo"]
    """What is compared: "rss" is the resident set of this process. "number" is the one number of
    bytes in a file. "meminfo" is MemTotal - MemAvailable of a file like /proc/meminfo."""
    path: str
    """The file; "" for "rss"."""
    above_bytes: int


class Memory(Protocol):
    """Reads the memory of this process and of its groups, through descriptors kept open."""

    def rss(self) -> int:
        """Resident set size in bytes; -1 where this twin cannot tell on this system."""

    def watch(self, thresholds: Sequence[Threshold]) -> None:
        """Have `over` compare these from now on.

        Raises ValueError for more than `MAX_THRESHOLDS`.
        """

    def over(self) -> bool:
        """Whether any threshold is passed, or cannot be read."""

    def trim(self) -> bool:
        """Give freed memory back to the system, with the GIL released. Returns False if no way to
        do that is known on this system."""

    def close(self) -> None:
        """Close the descriptors.

        A threshold on a file counts as passed until `watch` opens the file again. Reading the
        resident set opens its own file again.
        """

    def after_fork(self) -> None:
        """In the child: close the file of the resident set, which is the parent's."""
