"""Nanoseconds and bytes as text, with units for people."""

from __future__ import annotations


def duration(ns: float) -> str:
    """Nanoseconds as text with three digits, in the largest unit that gives at least 1."""
    for unit, length in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        value = ns / length
        if value >= 1:
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:,.0f} {unit}"
    return f"{ns:.0f} ns"


def size(count: float) -> str:
    """Bytes in MiB."""
    return f"{count / 2**20:,.1f} MiB"
