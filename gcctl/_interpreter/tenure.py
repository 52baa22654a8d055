"""Tenure: gcctl freezes objects with `gc.freeze()`, so that no collection goes through them."""

from __future__ import annotations

import gc
from collections.abc import Callable

from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.collector import OF_THE_INTERPRETER as OF_THE_INTERPRETER
from gcctl._interpreter.preload import preload


class Tenure:
    """What gcctl has frozen.

    The interpreter has one permanent generation for everybody, and thaws all of it or nothing. So
    gcctl tenures nothing where somebody else has frozen objects before: it could not give back its
    own objects alone.

    What gcctl has frozen in a pre-fork master is never thawed in its workers. So what the workers
    tenure cannot be thawed either: it is `kept`. Only a concurrent collection finds garbage among
    frozen objects. Where there is none, workers tenure nothing.
    """

    def __init__(self, freeze: Callable[[], object], *, can_be_kept: bool = False) -> None:
        self.kept = preload.frozen
        """Whether nothing is given back before the end of the process."""
        if self.kept:
            preload.check()
        # Counting takes time for each frozen object. It is done once, and nearly always there is
        # none.
        self.possible = COLLECTOR != "free-threaded" and (
            can_be_kept if self.kept else gc.get_freeze_count() <= OF_THE_INTERPRETER
        )
        self._freeze = freeze
        self.ours = False
        """Whether gcctl has tenured anything."""
        self.shared = False
        """Whether somebody else has frozen objects on top of it."""

    def keep(self) -> bool:
        """Tenure everything; False where it is not possible."""
        if self.possible:
            self.ours = True  # before the freeze, so that an interrupted one is undone too
            self._freeze()
        return self.possible

    @property
    def returnable(self) -> bool:
        """Whether there is something to give back."""
        return self.ours and not self.shared and not self.kept

    def give_back(self) -> None:
        """Thaw all of it, into generation 2."""
        if self.returnable:
            gc.unfreeze()
            self.ours = False

    def share(self) -> None:
        """Somebody else has frozen objects meanwhile. They must stay frozen, so none of ours can be
        given back any more."""
        self.possible = False
        self.shared = True

    def end(self) -> bool:
        """Give everything back; False where that is not possible."""
        self.possible = False  # for a thread that is in the middle of a check
        if self.ours and self.shared:
            return False
        if self.ours and self.kept:
            preload.note_own_freeze()
        self.give_back()
        return True
