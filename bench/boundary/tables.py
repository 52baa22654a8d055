"""The results as text."""

from __future__ import annotations

from typing import Any

from bench.support.figures import Row
from bench.support.tables import table

GROUPS = {
    "idle": "One boundary, nothing due",
    "tick": "One tick(), nothing due",
    "due": "One boundary with a collection of an empty generation 0",
    "seen": "gc.collect(0) of somebody else, with no, an empty, and gcctl's entry in gc.callbacks",
    "monitoring": "One boundary with a collection of an empty generation 0, monitored or not",
    "check": "One check of memory, nothing to do",
}


def parts(found: dict[str, Any]) -> list[str]:
    return [
        timings(found["timings"]),
        differences("Measuring and recording one pause, on top", found["recording"]),
        differences("Monitoring, on top", found["monitoring"]),
        memory(found["memory"]),
        accuracy(found["accuracy"]),
    ]


def timings(rows: list[Row]) -> str:
    parts = []
    for group, title in GROUPS.items():
        other = "psutil" if group == "check" else "source"
        body = [
            (
                row["subject"],
                row["statement"],
                f"{row['median_ns']:.1f}",
                f"{row['quiet_ns']:.1f}",
                _times(row["times_floor"], 2),
                _times(row[f"times_cheaper_than_{other}"], 1),
            )
            for row in rows
            if row["group"] == group
        ]
        head = ("what", "statement", "median ns", "quiet ns", "x floor", f"{other} / this")
        parts.append(f"{title}\n{table(head, body)}")
    return "\n\n".join(parts)


def _times(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def differences(title: str, rows: list[Row]) -> str:
    body = [
        (
            row["subject"],
            row["collection"],
            f"{row['median_ns']:.0f}",
            "{:.0f} to {:.0f}".format(*row["quartiles_ns"]),
            f"{row['quiet_ns']:.0f}",
        )
        for row in rows
    ]
    head = ("what", "of a collection", "median ns", "quartiles", "quiet ns")
    return f"{title}\n{table(head, body)}"


def memory(rows: list[Row]) -> str:
    body = [
        (
            row["subject"],
            row["statement"] + (" (collects)" if row["group"] == "due" else ""),
            f"{row['allocations_per_boundary']:.2f}",
            str(row["blocks"]),
            str(row["tracked"]),
            str(row["rss_bytes"] // 1024),
        )
        for row in rows
    ]
    head = ("what", "statement", "asked for, each", "blocks left", "tracked left", "RSS KiB")
    return f"Memory: {rows[0]['boundaries']:,} of each\n{table(head, body)}"


def accuracy(rows: list[Row]) -> str:
    body = [
        (
            row["subject"],
            row["collection"],
            f"{row['objects']:,}",
            f"{row['pause_ns'] / 1000:,.1f}",
            f"{row['median_apart_ns'] / 1000:,.2f}",
            f"{row['worst_apart_ns'] / 1000:,.1f}",
            f"{row['median_apart_of_allowed']:.2f}",
            f"{row['agreeing']}/{row['collections']}",
        )
        for row in rows
    ]
    head = (
        "what",
        "collection",
        "objects",
        "clock us",
        "median off us",
        "worst us",
        "of allowed",
        "agree",
    )
    return f"Reported pause against a clock around it\n{table(head, body)}"
