"""What a pre-fork master has loaded, for its workers to share: frozen, so that their collections do
not write to it.

A collection writes to each object that it goes through, and a page that is written to is copied.
Frozen objects no collection goes through; to thaw them in a worker would undo it all, so that is
never done there.
"""

from __future__ import annotations

import gc
import os
import time

from gcctl._interpreter.automatic_gc import automatic_gc

WAIT_SECONDS = 5.0
"""How long the collection of another thread is waited for."""


class Preload:
    """What is shared between this process and those that it forks, or the one that forked it."""

    def __init__(self) -> None:
        self.frozen = False
        """Whether gcctl has frozen objects for that, here or in a process that this one comes
        from."""
        self.shared = False
        """Whether it was here."""
        self._switched_off = False

    def share(self) -> None:
        """Collect, and freeze what is left; automatic GC is off in this process from then on, but
        not in those that it forks."""
        if automatic_gc.enabled:
            self._switched_off = True  # before it is done, so that a child has it on again
            automatic_gc.set(False)
        _collect()
        gc.freeze()
        self.frozen = self.shared = True

    def after_fork(self) -> None:
        """In the child."""
        self.shared = False
        if self._switched_off:
            self._switched_off = False
            automatic_gc.set(True)


def _collect() -> None:
    """A full collection that does run: none does while another thread is in the middle of one."""
    deadline = time.monotonic() + WAIT_SECONDS
    collections = _full_collections()
    gc.collect()
    while _full_collections() == collections and time.monotonic() < deadline:
        time.sleep(0.001)
        gc.collect()


def _full_collections() -> int:
    return int(gc.get_stats()[-1]["collections"])


preload = Preload()
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=preload.after_fork)
