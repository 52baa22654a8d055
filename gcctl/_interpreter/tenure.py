"""Tenure: gcctl freezes objects, so that no collection goes through them.

The interpreter has one permanent generation for everybody, and `gc.unfreeze()` thaws all of it.
gcctl gives back only what it has frozen itself. What somebody else has frozen is never thawed. If
somebody else freezes on top of gcctl's objects, all of them are theirs from then on.
"""

from __future__ import annotations

from functools import partial

from gcctl._core.protocol import Core
from gcctl._core.records import REASONS
from gcctl._interpreter import mechanisms
from gcctl._process.own_objects import own_objects

YOUNG = 0
SCHEDULED = REASONS.index("scheduled")


class OwnObjects:
    """What the import of gcctl has made: explicit collections need not go through it either."""

    def __init__(self) -> None:
        compiled = mechanisms.compiled
        # Without stand-ins, gc.get_freeze_count() would tell of them.
        wanted = not (mechanisms.missing("tenure") or mechanisms.missing("stand-ins"))
        self._frozen = compiled.Frozen() if compiled is not None and wanted else None

    def freeze(self) -> None:
        if self._frozen is not None:
            self._frozen.keep_these(own_objects.noted, own_objects.frozen)

    def give_back(self) -> None:
        if self._frozen is not None:
            self._frozen.give_back()


class Tenure:
    """The objects that one user of this class has frozen."""

    def __init__(self, core: Core) -> None:
        self.missing = mechanisms.missing("tenure")
        """Why nothing can be tenured in this process; "": it can."""
        compiled = mechanisms.compiled
        self._frozen = compiled.Frozen() if compiled is not None and not self.missing else None
        self._collect_young = partial(core.collect, YOUNG, SCHEDULED)
        self._ended = False

    @property
    def there(self) -> bool:
        """Whether anything is tenured. Not where somebody else has frozen or thawed since."""
        return self._frozen is not None and self._frozen.there

    def keep(self) -> bool:
        """Collect generation 0, and tenure all that is left in the generations at once: garbage
        that is made in between would stay. False where that is not possible."""
        if self._frozen is None or self._ended:
            return False
        return bool(self._frozen.keep(self._collect_young))

    def give_back(self) -> bool:
        """Thaw all of it, into generation 2. Returns whether there was anything."""
        return self._frozen is not None and bool(self._frozen.give_back())

    def end(self) -> None:
        """Give everything back, for good."""
        self._ended = True  # for a thread that is in the middle of a check
        self.give_back()
