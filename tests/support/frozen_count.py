"""How many objects are really frozen: `gc.get_freeze_count()` leaves out what gcctl has frozen."""

from __future__ import annotations

import gc

from gcctl._interpreter import mechanisms

AT_THE_START = gc.get_freeze_count()
"""CPython 3.12 starts with some hundreds."""


def frozen_objects() -> int:
    """Those of the interpreter itself left out."""
    compiled = mechanisms.compiled
    found = gc.get_freeze_count() if compiled is None else compiled.frozen_objects()
    return max(found - AT_THE_START, 0)
