"""The figures of the demo for people: policies side by side, and how they were measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gcctl._demo.trial import Row

LABELS = {"off": "off (automatic GC)"}
"""What a row is called where the policy's name does not say it."""


def _collections(row: Row) -> str:
    return " / ".join(f"{count:,}" for count in row["collections_by_generation"])


# Two lines of heading, and the text of a row.
COLUMNS: tuple[tuple[str, str, Callable[[Row], str]], ...] = (
    ("policy", "", lambda row: LABELS.get(row["policy"], str(row["policy"]))),
    ("requests", "/s", lambda row: f"{row['requests_per_s']:.1f}"),
    ("P50", "ms", lambda row: f"{row['p50_ms']:.1f}"),
    ("P99", "ms", lambda row: f"{row['p99_ms']:.1f}"),
    ("worst", "ms", lambda row: f"{row['worst_ms']:.1f}"),
    ("collections of", "gen. 0 / 1 / 2", _collections),
    ("GC total", "ms", lambda row: f"{row['pause_total_ns'] / 1e6:,.0f}"),
    ("longest", "ms", lambda row: f"{row['pause_max_ns'] / 1e6:.1f}"),
    ("GC/CPU", "%", lambda row: f"{row['gc_cpu_share'] * 100:.1f}"),
    ("RSS", "MiB", lambda row: f"{row['rss_bytes'] / 2**20:,.0f}"),
)


def render(rows: Sequence[Row]) -> str:
    """The whole answer, over several lines without a newline at the end."""
    return "\n".join([_heading(rows), "", *_lines(rows), "", *_footer(rows)])


def _heading(rows: Sequence[Row]) -> str:
    first = rows[0]
    requests = max(row["requests"] + row["errors"] for row in rows)
    return (
        f"{requests:,} requests at {first['rate']:g}/s under each policy, "
        f"{first['heap_objects']:,} live objects, "
        f"CPython {first['python']}, {first['implementation']} core"
    )


def _lines(rows: Sequence[Row]) -> list[str]:
    columns = [(title, unit, *(text(row) for row in rows)) for title, unit, text in COLUMNS]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in zip(*columns, strict=True)
    ]


def _footer(rows: Sequence[Row]) -> list[str]:
    unanswered = [
        f"{row['policy']}: {row['errors']:,} requests were not answered and are in no other figure."
        for row in rows
        if row["errors"]
    ]
    return [
        *unanswered,
        "Latency runs from when a request was due, at a constant rate, to the last byte of its",
        "answer: a pause counts for every request that it delays. GC/CPU is the total pause over",
        "the server's CPU time. Each policy had a fresh process; its warm-up is not counted.",
    ]
