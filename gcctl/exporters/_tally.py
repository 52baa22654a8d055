"""What the controllers that a process has had, one after the other, have counted together."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from gcctl._lifecycle.controller import Controller
from gcctl._monitor.statistics import Stats
from gcctl.exporters._reading import NOTHING, Reading, negative, read, total


class Tally:
    """Their counters never get less, whenever a controller is asked, or how often, and whether it
    has ended meanwhile: what it adds is what it has not said before."""

    def __init__(self) -> None:
        self.counted = NOTHING
        """With the gauges of the controller that is installed."""
        self._known: WeakKeyDictionary[Controller, Reading] = WeakKeyDictionary()
        self._open: dict[Controller, None] = {}

    def note(self, controller: Controller) -> None:
        """`look()` shall ask it, until it is over. Of any thread, without a lock."""
        self._open[controller] = None

    def look(self) -> list[tuple[Controller, Stats]]:
        """Ask all, and return what they said. By one thread at a time."""
        said: list[tuple[Controller, Stats]] = []
        added, now = [self.counted], NOTHING
        for controller in tuple(self._open):
            is_over = not controller.installed  # then what it says next is its last
            stats = controller.stats()
            reading = read(stats)
            if reading != NOTHING:  # as says one whose end was interrupted
                added += [negative(self._known.get(controller, NOTHING)), reading]
                self._known[controller] = reading
            said.append((controller, stats))
            if is_over:
                del self._open[controller]
            else:
                now = reading
        self.counted = total(added)._replace(gauges=now.gauges, info=now.info)
        return said
