"""Rows of figures as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
"""The figures of one measurement, under the names that `gcctl demo --json` prints."""

Column = tuple[str, str, Callable[[Row], str]]
"""Two lines of heading, and the text of a row."""


def render(
    heading: str, columns: Sequence[Column], rows: Sequence[Row], footer: Sequence[str]
) -> str:
    """The whole output: several lines, without a newline at the end."""
    return "\n".join([heading, "", *_lines(columns, rows), "", *footer])


def _lines(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    cells = [(title, unit, *(text(row) for row in rows)) for title, unit, text in columns]
    widths = [max(map(len, column)) for column in cells]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in zip(*cells, strict=True)
    ]


def mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f}"


def collections(row: Row) -> str:
    return " / ".join(f"{count:,}" for count in row["collections_by_generation"])


COLLECTIONS: Column = ("collections of", "gen. 0 / 1 / 2", collections)
GC_TOTAL: Column = ("GC total", "ms", lambda row: f"{row['pause_total_ns'] / 1e6:,.0f}")
LONGEST: Column = ("longest", "ms", lambda row: f"{row['pause_max_ns'] / 1e6:.1f}")
