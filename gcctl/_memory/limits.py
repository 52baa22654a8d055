"""A limit on memory: how much is used, of what, and which files tell when it is passed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from gcctl._base.units import size
from gcctl._memory.cgroup import SHORTAGES, MemoryGroups, machine_memory
from gcctl._memory.protocol import MAX_TRIPS, Trip


class Used(NamedTuple):
    """Memory in use against a limit."""

    bytes: int
    limit_bytes: int
    what: str
    """"RSS", or whose memory it is."""

    @property
    def share(self) -> float:
        return self.bytes / self.limit_bytes

    def __str__(self) -> str:
        return f"{self.what} {size(self.bytes)}, over the limit of {size(self.limit_bytes)}"


class Limit(Protocol):
    """What is compared with what."""

    shared: bool
    """With what whole groups use: these change at run time."""

    def used(self) -> Used | None:
        """The tightest of all; None where it cannot be found out."""

    def trips(self, part: float) -> list[Trip]:
        """What to watch for `part` of the limit: nothing above it goes unseen."""


class OwnLimit:
    """An absolute limit: on the resident set of this process."""

    shared = False

    def __init__(self, limit_bytes: int, rss: Callable[[], int]) -> None:
        self._limit_bytes = limit_bytes
        self._rss = rss

    def used(self) -> Used | None:
        used = self._rss()
        return Used(used, self._limit_bytes, "RSS") if used else None

    def trips(self, part: float) -> list[Trip]:
        return [Trip("rss", "", min(int(self._limit_bytes * part), self._limit_bytes))]


class SharedLimit:
    """A share of what the control groups of this process may use together, or the machine."""

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
                    self._groups.doubt(group)
                continue
            found.append(Used(used, self._of(group.limit_bytes), group.name))
        if not self._groups.groups and (memory := _machine()) is not None:  # macOS, Windows
            total, available = memory
            found = [Used(total - available, self._of(total), "physical memory")]
        return max(found, key=lambda used: used.share, default=None)

    def trips(self, part: float) -> list[Trip]:
        # An upper bound of what is used: the file cache counts, which used() leaves out.
        return [
            Trip(
                "meminfo" if group.meminfo else "number",
                group.usage_path,
                int(self._of(group.limit_bytes) * part),
            )
            for group in self._groups.groups[:MAX_TRIPS]
        ]

    def _of(self, limit_bytes: int) -> int:
        return max(int(limit_bytes * self._share), 1)


def limit_for(limit: int | str, groups: MemoryGroups, rss: Callable[[], int]) -> Limit:
    """From the configuration's `memory_limit`: bytes, or a share such as "80%"."""
    if isinstance(limit, str):
        return SharedLimit(float(limit.removesuffix("%")) / 100, groups)
    return OwnLimit(limit, rss)


def _machine() -> tuple[int, int] | None:
    """Physical memory in bytes, and what of it can be had; None where nothing tells."""
    with suppress(OSError, ValueError):
        return machine_memory()
    import psutil

    with suppress(psutil.Error, OSError, RuntimeError):
        memory = psutil.virtual_memory()
        return memory.total, memory.available
    return None


def available_bytes(groups: MemoryGroups) -> int:
    """What can still be had: from the machine, and from the control groups that limit us. Where
    nothing can be found out, as much as one likes."""
    memory = _machine()
    free = [memory[1]] if memory is not None else []
    for group in groups.groups:
        with suppress(OSError, ValueError):
            free.append(group.limit_bytes - group.used_bytes())
    return min(free, default=2**62)


def machine_bytes() -> int:
    memory = _machine()
    return memory[0] if memory is not None else 0
