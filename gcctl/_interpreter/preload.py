"""What a pre-fork master has loaded, for its workers to share.

It is frozen, so that the collections of the workers do not write to it: a collection writes to each
object that it goes through, and the system copies a page that is written to. No collection goes
through frozen objects. Thawing them in a worker would undo that, so it is never done there.
"""

from __future__ import annotations

import gc

from gcctl._base.clock import monotonic, sleep
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._process.forked import in_child

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

    def share(self) -> None:
        """Collect, and freeze what is left. From then on automatic GC is off in this process, but
        not in its children."""
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
    """Run a full collection. `gc.collect()` does nothing while another thread collects, so repeat
    it until one has run."""
    deadline = monotonic.seconds() + WAIT_SECONDS
    collections = _full_collections()
    gc.collect()
    while _full_collections() == collections and monotonic.seconds() < deadline:
        sleep(0.001)
        gc.collect()


def _full_collections() -> int:
    return int(gc.get_stats()[-1]["collections"])


preload = Preload()
"""Of this process."""

in_child(preload.after_fork)
