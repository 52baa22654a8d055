"""Random numbers that differ between forked workers: those of the module `random` are the same."""

from __future__ import annotations

import os


def random_share() -> float:
    """A random number from 0 up to 1, but never 1 itself."""
    return (int.from_bytes(os.urandom(8), "big") >> 11) / 2**53
