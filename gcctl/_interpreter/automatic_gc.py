"""Automatic GC, and those that hold it off for a while: forks, batches and `hold()`."""

from __future__ import annotations

import gc


class AutomaticGC:
    """CPython's own triggering of collections, held off by any number of holders at once.

    Meanwhile `enabled` is what the setting will be when the last of them lets go. So install() and
    uninstall() see and change the right setting, even in the middle of a batch.

    There is no lock, because a fork could leave it locked in the child. Instead the code relies on
    when CPython switches threads and runs signal handlers: only where a function begins, after a
    call, and at a backward jump. The code between two such places is one step, which nothing
    interrupts. "One step" in a comment means that, here and in other modules.
    """

    def __init__(self) -> None:
        self._holders: dict[object, int] = {}
        self.changes = 0
        """Goes up when this object changes the setting: such changes are not those of others."""
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
        """Hold it off. Give a `holder` where an interruption may cause a second `release()`."""
        while True:
            seen = self.changes
            enabled = gc.isenabled()
            if self.changes == seen:
                break
        # One step, from that comparison to the end.
        self.changes += 1
        if enabled or not self._holders:  # else it is off because the first of them switched it off
            self._enabled = enabled
        if holder in self._holders:
            self._holders[holder] += 1
        else:
            self._holders[holder] = 1
        gc.disable()

    def release(self, holder: object = None) -> None:
        """Let go. If somebody else has switched automatic GC on meanwhile, it stays on."""
        if holder not in self._holders:  # it has let go already, or a fork has removed it
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
