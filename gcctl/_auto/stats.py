"""What the policy `auto` tells about itself: its numbers and its last decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gcctl._base.public import public


@public
class Decision(NamedTuple):
    """Something that the policy did, and why."""

    time_ns: int
    what: str


@public
class AutoStats(NamedTuple):
    """What the policy `auto` knows, and did last. Durations are nanoseconds, sizes bytes."""

    middle_predicted_ns: int = 0
    """The pause that a collection of generation 1 would take now."""
    recent_predicted_ns: int = 0
    """The pause that a collection of generation 2 would take now. Tenured objects are not in it."""
    full_predicted_ns: int = 0
    """The expected cost of a full collection: its pauses and the CPU time of its child together."""
    grown_bytes: int = 0
    """Growth of the resident set since the last full collection."""
    grown_objects: int = 0
    """Tracked objects made since then, less those that were freed. This is an upper bound: objects
    that are freed while nothing is allocated are not subtracted."""
    growth_wanted: float = 0.0
    """The next full collection is due when the number of objects has grown by this share, or the
    resident set by half of it."""
    back_off: int = 0
    """Full collections in a row that found next to nothing, up to 3."""
    tenured: int = 0
    """How often live objects were tenured."""
    full_collections: int = 0
    """Full collections that the policy began."""
    decisions: tuple[Decision, ...] = ()
    """The last decision about each generation, and the last about full collections."""


class Decisions:
    """The last decision about each generation, and (`None`) about full collections."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._last: dict[int | None, Decision] = {}

    def note(self, generation: int | None, what: str) -> None:
        self._last[generation] = Decision(self._now(), what)

    def in_order(self) -> tuple[Decision, ...]:
        """The oldest first."""
        return tuple(sorted(self._last.values()))
