"""The results as text."""

from __future__ import annotations

from bench.support.figures import Row
from bench.support.subjects import C
from bench.support.tables import table
from bench.support.targets import MIB, NS_PER_MS


def parts(found: dict[str, list[Row]]) -> list[str]:
    return [returned(found["returned"]), stalls(found["stalls"]), batch(found["batch"])]


def returned(rows: list[Row]) -> str:
    body = [
        (
            C,
            row["kind"],
            f"{row['bytes'] / MIB:.0f}",
            f"{row['dropping_share']:.0%}",
            f"{row['returned_share']:.0%}",
            f"{row['took_ns'] / NS_PER_MS:.0f}",
        )
        for row in rows
    ]
    head = ("what", "built and dropped", "MiB", "back by then", "back after step", "step ms")
    return f"Memory given back when it was over the limit\n{table(head, body)}"


def stalls(rows: list[Row]) -> str:
    body = [
        (
            C,
            row["stalled"],
            f"{row['bytes'] / MIB:.0f}",
            *(f"{row[name] / NS_PER_MS:.1f}" for name in ("trim_ns", "stall_ns", "rest_ns")),
        )
        for row in rows
    ]
    head = ("what", "longest stall of", "MiB", "trim ms", "during trim ms", "at rest ms")
    return f"Other threads while memory is given back\n{table(head, body)}"


def batch(rows: list[Row]) -> str:
    body = [
        (
            row["subject"],
            f"{row['objects']:,} lists",
            f"{row['seconds']:.2f}",
            f"{row['rss_bytes'] / MIB:.0f}",
            f"{row['times_faster']:.2f}",
            f"{row['times_rss']:.3f}",
        )
        for row in rows
    ]
    head = ("what", "built", "median s", "RSS MiB", "x faster", "x RSS")
    return f"Building many container objects\n{table(head, body)}"
