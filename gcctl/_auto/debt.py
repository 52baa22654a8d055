"""What a generation owes: the pause that collecting it would take, and whether it is worth it."""

from __future__ import annotations

from typing import Final

from gcctl._core.records import Tally

PART: Final = 4
"""Collections of one generation may take this part of `gc_budget`, and each of `max_pause`."""

VISIT_NS: Final = 100
"""What a collection takes per object that it goes through, roughly."""

WORTH_WHILE: Final = 0.01
"""Part of the objects it goes through that a collection has to find, or else it was for nothing."""

MOST_LEFT_OUT: Final = 8
"""Collections of a generation in a row that are left out, at most."""


class Debt:
    """What has come into a generation since it was collected last, in nanoseconds: those that the
    collections took which moved objects there."""

    def __init__(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.owed_ns = 0
        self.moves = 0
        """So many collections those were."""
        self.kept_ns = 0
        """What collecting it took last, where its objects have stayed in it."""
        self._ratio = 1.0
        self._leave_out = 0  # so many after each that finds nothing
        self.to_leave_out = 0

    @property
    def predicted_ns(self) -> int:
        """The pause that collecting it would take now."""
        return self.kept_ns + int(self.owed_ns * self._ratio)

    def settle(self, now_ns: int, pause_ns: int, *, kept: bool) -> None:
        """It was collected."""
        if self.owed_ns:
            ratio = min(max((pause_ns - self.kept_ns) / self.owed_ns, 0.01), 2.0)
            self._ratio = max(ratio, (self._ratio + ratio) / 2)  # rather too long than too short
        self.kept_ns = pause_ns if kept else 0
        self.clear(now_ns)

    def add(self, before: Tally, after: Tally) -> None:
        """The collections between the two have moved objects there."""
        self.owed_ns += after.pause_total_ns - before.pause_total_ns
        self.moves += after.collections - before.collections

    def clear(self, now_ns: int) -> None:
        """Nothing is there any more."""
        self.owed_ns = self.moves = 0
        self.since_ns = now_ns

    def learn(self, pause_ns: int, collected: int) -> None:
        """Was it worth it?"""
        in_vain = was_in_vain(pause_ns, collected)
        self._leave_out = min(max(2 * self._leave_out, 1), MOST_LEFT_OUT) if in_vain else 0
        self.to_leave_out = self._leave_out


def was_in_vain(pause_ns: int, collected: int) -> bool:
    """Has a collection that took so long found next to nothing?"""
    return collected * VISIT_NS < pause_ns * WORTH_WHILE
