"""What a pre-fork master has loaded, for its workers to share.

It is frozen, so that the collections of the workers do not write to it: a collection writes to each
object that it goes through, and the system copies a page that is written to. No collection goes
through frozen objects. Thawing them in a worker would undo that, so it is not done before the end
of the process. Then it must be: the interpreter's last collections run the finalizers of what is
still there, and would not find them.
"""

from __future__ import annotations

import gc
from typing import Any

from gcctl._base.clock import monotonic, sleep
from gcctl._interpreter import mechanisms
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._interpreter.collector import COLLECTOR, OF_THE_INTERPRETER
from gcctl._process.forked import in_child

WAIT_SECONDS = 5.0
"""How long to wait for the collection of another thread."""


class Preload:
    """What this process shares with its children, or with the process that forked it."""

    def __init__(self) -> None:
        self.shared = False
        """Whether objects were frozen for sharing in this very process."""
        self._switched_off = False
        self._part: Any = None
        self._rest = _AllOrNothing()

    def share(self) -> None:
        """Collect, and freeze what is left. From then on automatic GC is off in this process, but
        not in its children."""
        if automatic_gc.enabled:
            self._switched_off = True  # before it is done, so that a child has it on again
            automatic_gc.set(False)
        _collect()
        compiled = mechanisms.compiled
        if compiled is None or mechanisms.layout_problem():
            self._rest.freeze()
        else:
            self._part = self._part or compiled.Frozen()
            self._part.keep()
        self.shared = True

    def give_back(self) -> bool:
        """At the end of a process: thaw what was frozen for sharing, here or in a parent. Automatic
        GC is on again. False where it stays frozen, because others have frozen objects too."""
        self._restore_automatic_gc()
        self.shared = False
        part, self._part = self._part, None
        given_back = part is None or bool(part.give_back())
        return self._rest.thaw() and given_back

    def after_fork(self) -> None:
        """In the child."""
        self.shared = False
        self._restore_automatic_gc()

    def _restore_automatic_gc(self) -> None:
        if self._switched_off:
            self._switched_off = False
            automatic_gc.set(True)


class _AllOrNothing:
    """`gc.freeze()` and `gc.unfreeze()`, where gcctl cannot tell what it has frozen from the rest.

    CPython thaws all that is frozen. So it is thawed only where nobody else has frozen objects.
    """

    def __init__(self) -> None:
        self._only_ours = True
        # A list that is made after the freeze. Whoever freezes later freezes it too.
        self._witness: list[None] | None = None

    def freeze(self) -> None:
        if self._witness is None:
            self._only_ours = gc.get_freeze_count() <= OF_THE_INTERPRETER
        else:
            self._check()
        gc.freeze()
        self._witness = []

    def thaw(self) -> bool:
        """False where somebody else has frozen objects. Nothing is thawed then."""
        if self._witness is None:
            return True
        self._check()
        # On a free-threaded build a frozen object cannot be told from another one.
        if not self._only_ours or COLLECTOR == "free-threaded":
            return False
        self._witness = None
        gc.unfreeze()
        return True

    def _check(self) -> None:
        if not any(found is self._witness for found in gc.get_objects()):
            self._only_ours = False


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
