"""What the import of gcctl makes: functions, classes, dictionaries, some 6,000 objects in all.

They live as long as the process. Full collections would go through them, and each `gc.collect()` of
the program would take 0.6 ms longer than without gcctl. So they are noted here, and an installation
freezes them.
"""

from __future__ import annotations

import gc
from _thread import _count


class _OwnObjects:
    """`with own_objects:` around import statements."""

    def __init__(self) -> None:
        self.noted: list[object] = []
        """What these imports have made, as far as it is known."""
        self._mark: object = None  # made just before the first of them

    def __enter__(self) -> None:
        # While collections wait, and there are no other threads, whatever the import makes follows
        # the mark in generation 0.
        if self._mark is None and gc.isenabled() and not _count():
            gc.disable()
            self._mark = [self]

    def __exit__(self, *error: object) -> None:
        mark, self._mark = self._mark, None
        if mark is None:
            return
        try:
            made: list[object] = []
            for found in reversed(gc.get_objects(generation=0)):
                if found is mark:
                    self.noted += made if not _count() else []
                    break
                made.append(found)
        finally:
            gc.enable()


own_objects = _OwnObjects()
"""Of this process."""
