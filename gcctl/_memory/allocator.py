"""Which allocator holds memory that the program has freed, where it is not libc's own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

KNOWN: Final = ("jemalloc", "mimalloc", "tcmalloc")


def other_allocator(maps: str = "/proc/self/maps", environ: Mapping[str, str] = os.environ) -> str:
    """The name of an allocator that gcctl cannot tell to give freed memory back; "": none is known
    to be there. `maps`: the file with what is mapped into this process."""
    if environ.get("PYTHONMALLOC", "").startswith("mimalloc"):  # CPython's own, from 3.13 on
        return "mimalloc"
    try:
        with open(maps, "rb") as file:
            names = {line.rpartition(b"/")[2] for line in file if b"/" in line}
    except OSError:  # not Linux
        return ""
    for known in KNOWN:
        if any(re.match(rb"lib%b[\w.-]*\.so" % known.encode(), name) for name in names):
            return known
    return ""
