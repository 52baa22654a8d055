"""What the import of gcctl makes: functions, classes, dictionaries, some 6,000 objects in all.

They live as long as the process. Full collections would go through them, and each `gc.collect()` of
the program would take 0.6 ms longer than without gcctl. So they are noted here, and an installation
freezes them.
"""

from __future__ import annotations

import sys
from _thread import _count
from gc import disable, enable, get_freeze_count, get_objects, get_referents, isenabled


class _OwnObjects:
    """`with own_objects:` around import statements."""

    def __init__(self) -> None:
        self.noted: list[object] = []
        """What these imports have made, as far as it is known."""
        self.frozen = 0
        """The number of objects that were frozen before these imports."""
        self._mark: object = None  # made just before the first of them

    def __enter__(self) -> None:
        # While collections wait, and there are no other threads, whatever the import makes follows
        # the mark in generation 0.
        if self._mark is None and isenabled() and not _count():
            frozen = get_freeze_count()
            if frozen != self.frozen:  # and with it what was noted before
                self.noted, self.frozen = [], frozen
            disable()
            self._mark = [self]

    def __exit__(self, *error: object) -> None:
        mark, self._mark = self._mark, None
        if mark is None:
            return
        try:
            young = get_objects(generation=0)
            index = len(young) - 1
            while index >= 0 and young[index] is not mark:
                index -= 1
            if index >= 0 and not _count():
                self.noted += _of_modules(young[index + 1 :])
        finally:
            enable()


def _of_modules(made: list[object]) -> list[object]:
    """Without objects of the program: an import hook of its own may have made some, and drops them
    later."""
    names = {"gcctl", *sys.stdlib_module_names}
    others = [each for each in made if type(each).__module__.partition(".")[0] not in names]
    left_out = {id(each) for each in (*others, *get_referents(*others))}
    return [each for each in made if id(each) not in left_out]


own_objects = _OwnObjects()
"""Of this process."""
