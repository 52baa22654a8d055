"""The results as text."""

from __future__ import annotations

from collections.abc import Iterable

from bench.service.modes import AUTOMATIC
from bench.service.scenarios import SCENARIOS, Case
from bench.service.targets import NEVER_WORSE
from bench.support.figures import Row
from bench.support.tables import table
from bench.support.targets import MIB, NS_PER_MS

MEASURED = (
    "mode",
    "rounds",
    "requests",
    "errors",
    "P50 ms",
    "P99 ms",
    "worst ms",
    "GC ms",
    "of it child",
    "gen 0 / 1 / 2",
    "in request ms",
    "CPU",
    "any stop ms",
    "CPU",
    "worst CPU",
    "RSS MiB",
    "peak",
    "child",
    "client late ms",
)
COMPARED = ("mode", "against automatic", "P99", "95 % interval", "P50", "GC", "CPU", "RSS")


def case(described: Row, rows: dict[str, Row]) -> str:
    about = Case(**described)
    title = f"{about.name}: {about.what}; {about.per_second:g} requests/s"
    parts = [f"{title}\n{table(MEASURED, measured(rows))}"]
    compared = list(against_automatic(about, rows))
    if compared:
        parts.append(table(COMPARED, compared))
    parts += [
        f"  errors, {mode}: {', '.join(f'{n} of {kind}' for kind, n in row['error_kinds'].items())}"
        for mode, row in rows.items()
        if row["errors"]
    ]
    return "\n".join(parts)


def measured(rows: dict[str, Row]) -> Iterable[tuple[str, ...]]:
    for mode, row in rows.items():
        yield (
            mode,
            str(row["rounds"]),
            f"{row['answered']:.0f}",
            str(row["errors"]),
            *(ms(row, name) for name in ("p50_ns", "p99_ns", "worst_ns", "gc_ns", "child_cpu_ns")),
            " / ".join(f"{count:.0f}" for count in row["collections"]),
            *(ms(row, name) for name in ("longest_in_request_ns", "longest_in_request_cpu_ns")),
            *(ms(row, name) for name in ("longest_ns", "longest_cpu_ns", "longest_of_all_cpu_ns")),
            *(mib(row, name) for name in ("rss_bytes", "peak_bytes", "child_memory_bytes")),
            ms(row, "late_ns"),
        )


def against_automatic(about: Case, rows: dict[str, Row]) -> Iterable[tuple[str, ...]]:
    for mode, row in rows.items():
        if mode == AUTOMATIC or not row.get("times_p99_ns"):
            continue
        p99 = row["times_p99_ns"]
        yield (
            mode,
            verdict(p99) if about.name in SCENARIOS and row["rounds"] > 1 else "",
            f"{p99['median']:.2f}",
            f"{p99['low']:.2f} to {p99['high']:.2f}" if row["rounds"] > 1 else "-",
            *(times(row, name) for name in ("p50_ns", "gc_ns", "cpu_ns", "rss_bytes")),
        )


def verdict(p99: Row) -> str:
    """Whether the P99 is no worse than automatic GC's, as far as the rounds can tell."""
    if p99["high"] <= NEVER_WORSE:
        return "not worse"
    return "worse" if p99["low"] > NEVER_WORSE else "undecided"


def times(row: Row, name: str) -> str:
    found = row.get(f"times_{name}")
    return f"{found['median']:.2f}" if found else "-"


def ms(row: Row, name: str) -> str:
    return f"{row[name] / NS_PER_MS:,.1f}"


def mib(row: Row, name: str) -> str:
    return f"{row[name] / MIB:,.0f}"
