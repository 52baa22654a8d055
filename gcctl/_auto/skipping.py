"""When a collection of generation 1 or 2 is skipped: its objects are tenured unchecked instead.

The garbage among them is then left to the next full collection. A collection is skipped

1. while a full collection runs: each page that a collection writes to would be copied;
2. when it would take longer than `max_pause`. At a boundary half of that counts, because the same
   stop has just collected generation 0;
3. after collections that found next to nothing, but not at idle. The first such collection skips
   the next one. If the following one finds nothing either, two are skipped, then four, at most
   eight. Where nearly all that survives its request lives long, going through it twice more is
   wasted time.
"""

from __future__ import annotations

from typing import Final

from gcctl._auto.debt import Debt
from gcctl._base.units import duration

VISIT_NS: Final = 100
"""About the time that a collection takes for each object that it goes through."""

WORTH_WHILE: Final = 0.01
"""A collection has to find this part of the objects that it goes through, or it was in vain."""

MOST_SKIPS: Final = 8
"""Collections of a generation in a row that are skipped, at most."""

IN_VAIN: Final = "the last found next to nothing"


class Skips:
    """How many of the next collections of one generation are skipped, after some in vain."""

    def __init__(self) -> None:
        self.left = 0
        self._after_next_in_vain = 0

    def note_found(self, pause_ns: int, collected: int) -> None:
        """A collection has run: it took so long, and found so many unreachable objects."""
        if was_in_vain(pause_ns, collected):
            self._after_next_in_vain = min(max(2 * self._after_next_in_vain, 1), MOST_SKIPS)
        else:
            self._after_next_in_vain = 0
        self.left = self._after_next_in_vain

    def note_skipped(self) -> None:
        self.left = max(self.left - 1, 0)


def was_in_vain(pause_ns: int, collected: int) -> bool:
    """Whether a collection that took so long found next to nothing."""
    return collected * VISIT_NS < pause_ns * WORTH_WHILE


def is_too_long(debt: Debt, max_pause_ns: int, *, idle: bool) -> bool:
    """At a boundary generation 0 was collected right before, as a part of the same stop."""
    return debt.predicted_ns > (max_pause_ns if idle else max_pause_ns // 2)


def why_skip(debt: Debt, skips: Skips, max_pause_ns: int, *, full_runs: bool, idle: bool) -> str:
    """Why a collection that is due is to be skipped; "": it is not."""
    if full_runs:
        return "while a full collection runs"
    if is_too_long(debt, max_pause_ns, idle=idle):
        return f"predicted {duration(debt.predicted_ns)}"
    return IN_VAIN if skips.left and not idle else ""
