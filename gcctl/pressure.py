"""Memory of this process."""

from __future__ import annotations

import psutil


def rss_bytes() -> int:
    """Resident set size in bytes; 0 where the system does not tell."""
    try:
        # A new object each time: a Process made before a fork speaks of the parent.
        return int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return 0
