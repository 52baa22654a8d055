"""Objects that no collection goes through any more: what `gc.freeze()` does, and takes back."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.preload import preload

OF_THE_INTERPRETER = 1000 if sys.version_info[:2] == (3, 12) else 0
"""So many objects may be frozen that nobody has frozen: CPython 3.12 starts with some hundreds."""


class Tenure:
    """What gcctl has frozen.

    The interpreter has one permanent generation for everybody, and thaws all of it or nothing. So
    where somebody else has frozen objects before, none are tenured: they could not be given back.

    What gcctl itself has frozen in a pre-fork master is never thawed in its workers, and so neither
    is what they tenure, which is `kept`. Only a collection that goes through frozen objects as they
    are finds the garbage in it: where none does, nothing is tenured either.
    """

    def __init__(self, freeze: Callable[[], object], *, can_be_kept: bool = False) -> None:
        self.kept = preload.frozen
        """Whether nothing is ever given back."""
        # Counting takes as long as there are frozen objects: once, and nearly always none.
        self.possible = COLLECTOR != "free-threaded" and (
            can_be_kept if self.kept else gc.get_freeze_count() <= OF_THE_INTERPRETER
        )
        self._freeze = freeze
        self.ours = False
        """Whether anything is tenured."""
        self.shared = False

    def keep(self) -> bool:
        """Tenure everything; False where it is not possible."""
        if self.possible:
            self.ours = True  # before it is done, so that an interruption is undone too
            self._freeze()
        return self.possible

    @property
    def returnable(self) -> bool:
        """Whether there is something to give back."""
        return self.ours and not self.shared and not self.kept

    def give_back(self) -> None:
        """To generation 2, all of it."""
        if self.returnable:
            gc.unfreeze()
            self.ours = False

    def share(self) -> None:
        """Somebody else has frozen objects meanwhile, which are not to be thawed: so none of ours
        can be given back any more."""
        self.possible = False
        self.shared = True

    def end(self) -> bool:
        """Give everything back; False where that cannot be."""
        self.possible = False  # for whoever is in the middle of a look
        if self.ours and self.shared:
            return False
        self.give_back()
        return True
