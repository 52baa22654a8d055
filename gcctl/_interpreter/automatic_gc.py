"""Automatic GC, and those who hold it off for a while: forks being made and batches."""

from __future__ import annotations

import gc


class AutomaticGC:
    """CPython's own triggering, held off by any number of holders at once.

    Meanwhile `enabled` is what it will be when the last of them lets go, so that installing and
    rolling back in the middle mean the setting that is being held off.

    Without a lock, for a fork would leave one locked in the child. CPython switches threads and
    looks for signals where a function begins, after a call, and at a backward jump; so what stands
    between two such places is one step, and a call ends it.
    """

    def __init__(self) -> None:
        self._holders: dict[object, int] = {}
        self.changes = 0
        """Moves whenever this object touches the setting, for whoever looks for others' changes."""
        self._enabled = False

    @property
    def enabled(self) -> bool:
        if self._holders and self._enabled:
            return True
        return gc.isenabled()

    @property
    def holders(self) -> tuple[object, ...]:
        return tuple(self._holders)

    def set(self, enabled: bool) -> None:
        self.changes += 1
        self._enabled = enabled
        if not enabled:
            gc.disable()
        elif not self._holders:
            gc.enable()

    def hold(self, holder: object = None) -> None:
        """Hold it off. Who may have to let go twice, after an interruption, gives a `holder`."""
        while True:
            seen = self.changes
            enabled = gc.isenabled()
            if self.changes == seen:
                break
        # One step from that comparison to the end.
        self.changes += 1
        if enabled or not self._holders:  # else: still off, as the first of them has made it
            self._enabled = enabled
        if holder in self._holders:
            self._holders[holder] += 1
        else:
            self._holders[holder] = 1
        gc.disable()

    def release(self, holder: object = None) -> None:
        """Let go. Whoever else has switched it on meanwhile has that respected."""
        if holder not in self._holders:  # it has let go, or a fork in between has made an end of it
            return
        self.changes += 1
        self._holders[holder] -= 1
        if not self._holders[holder]:
            del self._holders[holder]
        if not self._holders and self._enabled:
            gc.enable()

    def after_fork(self) -> None:
        """In the child, where nobody holds it any more."""
        if self._holders:
            self._holders = {None: 1}
            self.release()


automatic_gc = AutomaticGC()
"""Of this process."""
