"""How far apart the policy's checks at boundaries are.

A check costs 0.1 ms to 0.4 ms in a small service, which is mostly not collecting. So each check is
twice as far from the last one as that was, up to eight times `check_interval`, while nothing grows.
"""

from __future__ import annotations

from typing import Final, Protocol

CALM_BYTES: Final = 2**18
"""From one check to the next, the resident set may grow by so much and still counts as calm."""

CALM_BOUNDARIES: Final = 50
"""So many boundaries may come from one check to the next. With more, a check costs little for
each."""

MOST_INTERVALS: Final = 8
"""The longest distance of two checks while nothing grows, in units of `check_interval`."""


class Boundaries(Protocol):
    """What the pace needs of the process."""

    def boundaries(self) -> int:
        """How many there were. 0: the program marks no requests."""

    def check_after(self, intervals: int) -> None:
        """Ask for the next check at the first boundary after so many intervals, where checks may
        be spaced out; 0: at the next boundary."""


class Pace:
    """Asks for the next check."""

    def __init__(self, process: Boundaries, longest_ns: int, rss: int) -> None:
        """`longest_ns`: no collection of generation 1 or 2 is let grow beyond this pause."""
        self._process = process
        self._longest_ns = longest_ns
        # As they were at the last check at a boundary.
        self._rss = rss
        self._boundaries = 0
        self._intervals = 1  # from that check to the next one

    def after_boundary(self, rss: int, owed_ns: int, *, calm: bool) -> None:
        """`owed_ns`: the pause of what came into generation 1 or 2. It could be too long after
        twice the time. `calm`: no full collection runs or waits."""
        boundaries = self._process.boundaries()
        calm = (
            calm
            and rss - self._rss <= CALM_BYTES
            and boundaries - self._boundaries <= CALM_BOUNDARIES
            and owed_ns * 2 < self._longest_ns
        )
        self._rss, self._boundaries = rss, boundaries
        self._intervals = min(max(self._intervals * 2, 1), MOST_INTERVALS) if calm else 1
        self._process.check_after(self._intervals)

    def while_idle(self) -> None:
        """The first boundary after some time without any has a check."""
        self._intervals = 0
        self._process.check_after(0)
