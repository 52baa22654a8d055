"""Chance that differs between forked workers: they share the state of the module `random`."""

from __future__ import annotations

import os


def random_share() -> float:
    """From 0 up to 1, and never 1 itself."""
    return (int.from_bytes(os.urandom(8), "big") >> 11) / 2**53
