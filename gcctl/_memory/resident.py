"""The resident set size of this process."""

from __future__ import annotations

from gcctl._memory.protocol import Memory


def rss_bytes(memory: Memory) -> int:
    """Resident set size in bytes; 0 where the system does not tell."""
    used = memory.rss()
    if used >= 0:
        return used
    import psutil  # only where it is needed: importing it takes longer than all of gcctl

    try:
        # A new object each time: a Process made before a fork speaks of the parent.
        return int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return 0
