"""Totals of a process: of all controllers that it has had, one after the other."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from gcctl._lifecycle.controller import Controller
from gcctl._monitor.statistics import Stats
from gcctl.exporters._reading import NOTHING, Reading, negative, read, total


class Totals:
    """Counters that never get less, whenever and however often a controller is read, and also if it
    has ended meanwhile. Each reading adds what the one before it has not counted."""

    def __init__(self) -> None:
        self.counted = NOTHING
        """The totals, with the gauges of the controller that is installed."""
        self._known: WeakKeyDictionary[Controller, Reading] = WeakKeyDictionary()
        self._open: dict[Controller, None] = {}

    def include(self, controller: Controller) -> None:
        """Have `update()` read it until it has ended. Any thread may call it; there is no lock."""
        self._open[controller] = None

    def update(self) -> list[tuple[Controller, Stats]]:
        """Read all controllers, and return their statistics. For one thread at a time."""
        found: list[tuple[Controller, Stats]] = []
        added, now = [self.counted], NOTHING
        for controller in tuple(self._open):
            has_ended = not controller.installed  # then these statistics are its last
            stats = controller.stats()
            reading = read(stats)
            if reading != NOTHING:  # NOTHING: the end of this controller was interrupted
                added += [negative(self._known.get(controller, NOTHING)), reading]
                self._known[controller] = reading
            found.append((controller, stats))
            if has_ended:
                del self._open[controller]
            else:
                now = reading
        self.counted = total(added)._replace(gauges=now.gauges, info=now.info)
        return found
