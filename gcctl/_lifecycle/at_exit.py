"""The end of the process: what gcctl has frozen, and the interpreter's last collections.

The interpreter ends in this order: it joins the program's threads, calls the functions of `atexit`
(those registered last come first), runs a full collection if automatic GC is on, forgets all
modules, and runs full collections whatever the settings are. Only these free what modules have
kept, because functions refer to the names of their module. They go through no frozen objects.

- "complete": what gcctl has frozen is given back before, so that its finalizers run.
- "fast": everything is frozen before, so that these collections take no time. Finalizers of what is
  still alive then do not run.

Nothing of this happens where a process ends by `os._exit()` or by a signal. Nor does Python itself
run any finalizer there.
"""

from __future__ import annotations

import gc

from gcctl._base import log
from gcctl._interpreter.preload import preload

FAST = "fast"


class AtExit:
    """How this process ends. A forked child ends like its parent, unless it says otherwise."""

    def __init__(self) -> None:
        self.manner = "complete"
        """The value of `at_exit` in the last configuration of this process. It outlives its
        installation: servers uninstall before the process ends."""

    def end(self) -> None:
        """Called by `atexit`, when gcctl is uninstalled."""
        if self.manner == FAST:
            gc.freeze()
        elif not preload.give_back():
            log.warning(
                "what was frozen for sharing stays frozen: somebody else has frozen objects too, "
                "and the finalizers in there do not run"
            )


at_exit = AtExit()
"""Of this process."""
