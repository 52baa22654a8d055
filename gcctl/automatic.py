"""Automatic GC, and those who hold it off for a while: forks being made and batches."""

from __future__ import annotations

import gc


class AutomaticGC:
    """CPython's own triggering, held off by any number of holders at once.

    Meanwhile `enabled` is what it will be when the last of them lets go, so that installing and
    rolling back in the middle mean the setting that is being held off.

    Without a lock, for a fork would leave one locked in the child: every step is safe in between
    any two of another thread. The worst that comes of two at once is that a holder finds it on.
    """

    def __init__(self) -> None:
        self.holds = 0
        self.changes = 0
        """Moves whenever this object touches the setting, for whoever looks for others' changes."""
        self._enabled = False

    @property
    def enabled(self) -> bool:
        return gc.isenabled() or (self.holds > 0 and self._enabled)

    def set(self, enabled: bool) -> None:
        self.changes += 1
        self._enabled = enabled
        if not enabled:
            gc.disable()
        elif not self.holds:
            gc.enable()

    def hold(self) -> None:
        self.changes += 1
        self.holds = holds = self.holds + 1
        if holds == 1:
            self._enabled = gc.isenabled()
        gc.disable()

    def release(self) -> None:
        """Let go. Whoever else has switched it on meanwhile has that respected."""
        if self.holds <= 0:  # a fork in between has made an end of it
            return
        self.changes += 1
        # Switched on before the count says so: a holder that came in between would otherwise take
        # down that it was off.
        if self.holds == 1 and self._enabled:
            gc.enable()
        self.holds -= 1

    def after_fork(self) -> None:
        """In the child, where nobody holds it any more."""
        if self.holds:
            self.holds = 1
            self.release()


automatic_gc = AutomaticGC()
"""Of this process."""
