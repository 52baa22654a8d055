"""A memory limit: how much of it is used, and which thresholds tell when it is passed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from gcctl._base.units import size
from gcctl._memory.cgroup import SHORTAGES, MemoryGroups, machine_memory
from gcctl._memory.protocol import MAX_THRESHOLDS, Threshold


class Used(NamedTuple):
    """Memory in use against a limit."""

    bytes: int
    limit_bytes: int
    what: str
    """"RSS", or the name of the group whose memory it is."""

    @property
    def share(self) -> float:
        return self.bytes / self.limit_bytes

    def __str__(self) -> str:
        return f"{self.what} {size(self.bytes)}, over the limit of {size(self.limit_bytes)}"


class Limit(Protocol):
    """A limit, and how to find out how much of it is used."""

    shared: bool
    """Whether it limits whole groups, whose own limits change at run time."""

    def used(self) -> Used | None:
        """Use of the limit; with several groups, of the one closest to its limit.

        None if it cannot be found out.
        """

    def thresholds(self, part: float) -> list[Threshold]:
        """Thresholds to watch for `part` of the limit: if more is used, at least one is passed."""


class OwnLimit:
    """A number of bytes: limits the resident set of this process."""

    shared = False

    def __init__(self, limit_bytes: int, rss: Callable[[], int]) -> None:
        self._limit_bytes = limit_bytes
        self._rss = rss

    def used(self) -> Used | None:
        used = self._rss()
        return Used(used, self._limit_bytes, "RSS") if used else None

    def thresholds(self, part: float) -> list[Threshold]:
        return [Threshold("rss", "", min(int(self._limit_bytes * part), self._limit_bytes))]


class SharedLimit:
    """A share of the limits of this process's control groups, or of the machine's memory."""

    shared = True

    def __init__(self, share: float, groups: MemoryGroups) -> None:
        self._share = share
        self._groups = groups

    def used(self) -> Used | None:
        found = []
        for group in self._groups.groups:
            try:
                used = group.used_bytes()
            except (OSError, ValueError) as error:
                if getattr(error, "errno", None) not in SHORTAGES:
                    self._groups.forget(group)
                continue
            found.append(Used(used, self._of(group.limit_bytes), group.name))
        if not self._groups.groups and (memory := _machine()) is not None:  # macOS, Windows
            total, available = memory
            found = [Used(total - available, self._of(total), "physical memory")]
        return max(found, key=lambda used: used.share, default=None)

    def thresholds(self, part: float) -> list[Threshold]:
        # The numbers in these files are upper bounds: with the file cache, which used() leaves out.
        return [
            Threshold(
                "meminfo" if group.meminfo else "number",
                group.usage_path,
                int(self._of(group.limit_bytes) * part),
            )
            for group in self._groups.groups[:MAX_THRESHOLDS]
        ]

    def _of(self, limit_bytes: int) -> int:
        return max(int(limit_bytes * self._share), 1)


def limit_for(limit: int | str, groups: MemoryGroups, rss: Callable[[], int]) -> Limit:
    """The limit that `memory_limit` of the configuration asks for: bytes, or a share like "80%"."""
    if isinstance(limit, str):
        return SharedLimit(float(limit.removesuffix("%")) / 100, groups)
    return OwnLimit(limit, rss)


def _machine() -> tuple[int, int] | None:
    """Total and available physical memory in bytes; None if the system does not tell."""
    with suppress(OSError, ValueError):
        return machine_memory()
    import psutil

    with suppress(psutil.Error, OSError, RuntimeError):
        memory = psutil.virtual_memory()
        return memory.total, memory.available
    return None


def available_bytes(groups: MemoryGroups) -> int:
    """Bytes that the machine and the limits of its control groups still leave to this process.

    A very large number if nothing can be found out.
    """
    memory = _machine()
    free = [memory[1]] if memory is not None else []
    for group in groups.groups:
        with suppress(OSError, ValueError):
            free.append(group.limit_bytes - group.used_bytes())
    return min(free, default=2**62)


def machine_bytes() -> int:
    """Physical memory in bytes; 0 if the system does not tell."""
    memory = _machine()
    return memory[0] if memory is not None else 0
