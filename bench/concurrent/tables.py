"""The results as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.support.figures import Row
from bench.support.tables import table
from bench.support.targets import MIB, NS_PER_MS


def parts(found: dict[str, list[Row]] | None) -> list[str]:
    if found is None:
        return []
    return [
        stops(found["heaps"]),
        costs(found["heaps"]),
        slices(found["garbage"]),
        service(found["service"]),
    ]


def stops(rows: list[Row]) -> str:
    head = (
        "heap",
        "tracked",
        "gc.collect() ms",
        "CPU ms",
        "stop ms",
        "worst ms",
        "start ms",
        "slice ms",
        "slices",
        "longest call ms",
        "x shorter",
        "by clock",
    )
    return _part(
        "A concurrent full collection: the longest stop",
        rows,
        head,
        lambda row: (
            row["kind"],
            f"{row['tracked']:,}",
            *_ms(row, "gc_ns", "gc_cpu_ns", digits=0),
            *_ms(row, "stop_ns", "stop_worst_ns", "start_ns", "slice_ns"),
            f"{row['slices']:.0f}",
            *_ms(row, "longest_call_ns"),
            f"{row['times_shorter']:.1f}",
            f"{row['times_by_clock']:.1f}",
        ),
    )


def costs(rows: list[Row]) -> str:
    head = (
        "heap",
        "tracked",
        "answer ms",
        "child CPU ms",
        "sweep ms",
        "x work",
        "heap MiB",
        "table B each",
        "beyond MiB",
        "of heap",
        "collections",
        "left",
    )
    return _part(
        "What it takes altogether",
        rows,
        head,
        lambda row: (
            row["kind"],
            f"{row['tracked']:,}",
            *_ms(row, "answer_ns", "child_cpu_ns", digits=0),
            *_ms(row, "sweep_ns"),
            f"{row['times_work']:.2f}",
            f"{row['heap_bytes'] / MIB:.0f}",
            f"{row['table_bytes_per_object']:.1f}",
            f"{row['beyond_tables_bytes'] / MIB:.1f}",
            f"{row['beyond_tables_share']:.1%}",
            f"{row['collections']:.0f}",
            f"{row['left']:,.0f}",
        ),
    )


def slices(rows: list[Row]) -> str:
    head = (
        "cycles of",
        "dead",
        "gc.collect() ms",
        "CPU ms",
        "slices",
        "longest ms",
        "worst stop ms",
        "sweep ms",
        "x work",
        "left",
    )
    return _part(
        "Much garbage, freed in slices of whole cycles",
        rows,
        head,
        lambda row: (
            f"up to {row['largest']:,}",
            f"{row['dead']:,}",
            *_ms(row, "gc_ns", "gc_cpu_ns", digits=0),
            f"{row['slices']:.0f}",
            *_ms(row, "slice_ns", "stop_worst_ns"),
            *_ms(row, "sweep_ns", digits=0),
            f"{row['times_work']:.2f}",
            f"{row['left']:,.0f}",
        ),
    )


def service(rows: list[Row]) -> str:
    head = (
        "service",
        "latency since",
        "requests",
        "window ms",
        "P50 quiet ms",
        "window ms",
        "x P50",
        "P99 quiet ms",
        "window ms",
        "x P99",
        "x CPU",
        "copied MiB",
    )

    def line(row: Row) -> Sequence[str]:
        since = row["since"]
        return (
            row["where"],
            since,
            f"{row['requests']:.0f}",
            *_ms(row, "window_ns", digits=0),
            *_ms(row, f"p50_{since}_quiet_ns", f"p50_{since}_window_ns", digits=2),
            f"{row[f'times_p50_{since}']:.2f}",
            *_ms(row, f"p99_{since}_quiet_ns", f"p99_{since}_window_ns", digits=2),
            f"{row[f'times_p99_{since}']:.2f}",
            f"{row['times_cpu']:.2f}",
            f"{row['copied_bytes'] / MIB:.0f}",
        )

    both = [
        {**row, "since": since}
        for row in rows
        for since in (("due",) if "skipped" in row else ("due", "begun"))
    ]
    title = f"A service with {rows[0]['objects']:,} live objects, until the child answers"
    return _part(title, both, head, line)


def _part(
    title: str, rows: list[Row], head: Sequence[str], line: Callable[[Row], Sequence[str]]
) -> str:
    measured = [row for row in rows if "skipped" not in row]
    left_out = [
        f"  left out: {row.get('kind') or row['where']}, {row['objects']:,}: {row['skipped']}"
        for row in rows
        if "skipped" in row
    ]
    rounds = f" (rounds: {measured[0]['rounds']})" if measured else ""
    return "\n".join([title + rounds, table(head, map(line, measured)), *left_out])


def _ms(row: Row, *names: str, digits: int = 1) -> list[str]:
    return [f"{row[name] / NS_PER_MS:,.{digits}f}" for name in names]
