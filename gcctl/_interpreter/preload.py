"""What a pre-fork master has loaded, for its workers to share.

It is frozen, so that the collections of the workers do not write to it: a collection writes to each
object that it goes through, and the system copies a page that is written to. No collection goes
through frozen objects. Thawing them in a worker would undo that, so it is not done before the end
of the process. Then it must be: the interpreter's last collections run the finalizers of what is
still there, and would not find them.
"""

from __future__ import annotations

import gc
import os
import time

from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._interpreter.collector import COLLECTOR, OF_THE_INTERPRETER

WAIT_SECONDS = 5.0
"""How long to wait for the collection of another thread."""


class Preload:
    """What this process shares with its children, or with the process that forked it."""

    def __init__(self) -> None:
        self.frozen = False
        """Whether gcctl has frozen objects for sharing, here or in a parent of this process."""
        self.shared = False
        """Whether it has done so in this very process."""
        self._switched_off = False
        self._only_ours = False
        # A list that gcctl has made after it has frozen. Whoever freezes later freezes it too.
        self._witness: list[None] | None = None

    def share(self) -> None:
        """Collect, and freeze what is left. From then on automatic GC is off in this process, but
        not in its children."""
        if automatic_gc.enabled:
            self._switched_off = True  # before it is done, so that a child has it on again
            automatic_gc.set(False)
        _collect()
        if not self.frozen:
            self._only_ours = gc.get_freeze_count() <= OF_THE_INTERPRETER
        self.check()
        gc.freeze()
        self.frozen = self.shared = True
        self.note_own_freeze()

    def check(self) -> None:
        """Find out whether somebody else has frozen objects since gcctl did.

        CPython thaws everything or nothing. So what gcctl has frozen cannot be given back then.
        """
        witness = self._witness
        if witness is not None and not any(found is witness for found in gc.get_objects()):
            self._only_ours = False

    def note_own_freeze(self) -> None:
        """gcctl has frozen objects, and nobody else has since the last `check()`."""
        self._witness = []

    def give_back(self) -> bool:
        """At the end of the process: thaw what gcctl has frozen for sharing. Automatic GC is on
        again. False where others have frozen objects too: those must stay frozen."""
        self._restore_automatic_gc()
        if not self.frozen:
            return True
        self.check()
        # On a free-threaded build a frozen object cannot be told from another one.
        if not self._only_ours or COLLECTOR == "free-threaded":
            return False
        gc.unfreeze()
        self.frozen = self.shared = False
        return True

    def after_fork(self) -> None:
        """In the child."""
        self.shared = False
        self._restore_automatic_gc()

    def _restore_automatic_gc(self) -> None:
        if self._switched_off:
            self._switched_off = False
            automatic_gc.set(True)


def _collect() -> None:
    """Run a full collection. `gc.collect()` does nothing while another thread collects, so repeat
    it until one has run."""
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
