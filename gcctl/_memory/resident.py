"""The resident set size of this process."""

from __future__ import annotations

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
