"""The record of a collection for memory pressure, apart: statistics need it without the rest."""

from __future__ import annotations

from gcctl._base.public import public
from gcctl._base.record import record
from gcctl._base.units import duration, size


@public
@record()
class MemoryEvent:
    """One aggressive collection for memory pressure. Sizes are bytes."""

    time_ns: int
    """When it began, on the monotonic clock."""
    limited: str
    """What is limited: "RSS", or the name of a control group, or "physical memory"."""
    limit_bytes: int
    used_before_bytes: int
    used_after_bytes: int
    rss_before_bytes: int
    rss_after_bytes: int
    collected_by_generation: tuple[int, int, int]
    """Unreachable objects found in each generation, collected one after the other."""
    took_ns: int
    """With giving memory back to the system."""

    def __str__(self) -> str:
        young, middle, old = self.collected_by_generation
        return (
            f"{self.limited} {size(self.used_before_bytes)}, over the limit of "
            f"{size(self.limit_bytes)}: collected {young:,}, {middle:,} and {old:,} objects of "
            f"generations 0, 1 and 2 in {duration(self.took_ns)}; now "
            f"{size(self.used_after_bytes)}, RSS {size(self.rss_before_bytes)} before and "
            f"{size(self.rss_after_bytes)} after"
        )
