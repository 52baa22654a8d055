"""The resident set size of this process, and the part of it that a fresh process would not have."""

from __future__ import annotations

import mmap

from gcctl._memory.protocol import Memory


def rss_bytes(memory: Memory) -> int:
    """Resident set size in bytes; 0 if the system does not tell it."""
    used = memory.rss()
    if used >= 0:
        return used
    import psutil  # only here, because importing it takes longer than importing all of gcctl

    try:
        # A new object each time: a Process that was made before a fork reads the parent's memory.
        return int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def own_bytes(memory: Memory) -> int:
    """The resident set without pages of files and of shared memory, in bytes.

    A fresh worker would have those pages too: they stay in memory, and it maps them again. Where
    the system does not tell them apart (it is Linux that does), the whole resident set.
    """
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            _, resident, shared, *_ = file.read().split()
        return (int(resident) - int(shared)) * mmap.PAGESIZE
    except (OSError, ValueError):
        return rss_bytes(memory)
