"""The results as text."""

from __future__ import annotations

from typing import Any

from bench.programs.modes import PLAIN
from bench.support.figures import Row
from bench.support.tables import table
from bench.support.targets import MIB, NS_PER_MS


def parts(found: dict[str, Any]) -> list[str]:
    return [
        watched(found["watched"]),
        *(f"left out: {mode}: {why}" for mode, why in found["left_out"].items()),
        compared(found["programs"]),
    ]


def watched(rows: list[Row]) -> str:
    head = ("program", "kind", "generation 0", "1", "2", "GC CPU ms", "of all")
    body = [
        (
            row["program"],
            row["kind"],
            *(f"{count:,}" for count in row["collections"]),
            f"{row['gc_ns'] / NS_PER_MS:,.0f}",
            f"{row['gc_ns'] / row['all_ns']:.1%}",
        )
        for row in rows
    ]
    return f"Automatic GC in the programs: collections, and what they take\n{table(head, body)}"


def compared(rows: list[Row]) -> str:
    head = ("program", "mode", "s", "x", "95 %", "CPU s", "x", "95 %", "peak MiB", "x", "95 %")
    body = [
        (
            row["program"],
            row["mode"],
            f"{row['seconds']:.2f}",
            *_times(row, "seconds"),
            f"{row['cpu_seconds']:.2f}",
            *_times(row, "cpu_seconds"),
            f"{row['peak_bytes'] / MIB:.1f}",
            *_times(row, "peak_bytes"),
        )
        for row in rows
    ]
    title = f"Against python itself, in the same round (rounds: {rows[0]['rounds']})"
    return f"{title}\n{table(head, body)}"


def _times(row: Row, figure: str) -> tuple[str, str]:
    if row["mode"] == PLAIN:
        return "-", "-"
    low, high = row[f"times_{figure}_interval"]
    return f"{row[f'times_{figure}']:.3f}", f"{low:.3f} to {high:.3f}"
