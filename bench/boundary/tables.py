"""The results as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis import Row
from targets import MIB, NS_PER_MS, Target

GROUPS = {
    "idle": "One boundary, nothing due",
    "tick": "One tick(), nothing due",
    "due": "One boundary with a collection of an empty generation 0",
    "seen": "gc.collect(0) of somebody else, with no, an empty, and gcctl's entry in gc.callbacks",
    "monitoring": "One boundary with a collection of an empty generation 0, monitored or not",
    "check": "One look at memory, nothing to be done",
}


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they need to be; text to the left, numbers (all but the first two) to the
    right."""
    lines = [head, *body]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


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


def returned(rows: list[Row]) -> str:
    body = [
        (
            "gcctl, C core",
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
            "gcctl, C core",
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


def soak(row: Row | None) -> str:
    if row is None:
        return "A simulated day: only with --soak"
    counts = {
        "failing requests": row["failures"],
        "high-memory events": row["high_memory_events"],
        **{f"collections, {why}": count for why, count in row["by_reason"].items()},
        **{f"alerts, {kind}": count for kind, count in row["alerts"].items()},
    }
    body = [
        ("boundaries", f"{row['boundaries']:,} in {row['simulated_seconds'] / 3600:.1f} h"),
        *((what, f"{count:,}") for what, count in counts.items()),
        ("RSS KiB, first fifth and last", _ends(row, "rss", "_bytes", 1024)),
        ("allocated blocks, first fifth and last", _ends(row, "blocks", "", 1)),
    ]
    title = f"A simulated day, in {row['took_seconds']:.0f} s"
    return f"{title}\n{table(('what', 'how much'), body)}"


def _ends(row: Row, name: str, unit: str, scale: int) -> str:
    return " and ".join(f"{row[f'{name}_{end}{unit}'] / scale:,.0f}" for end in ("first", "last"))


def targets(found: list[Target], *, quick: bool) -> str:
    body = []
    for target in found:
        verdict = "reached" if target.reached else "NOT REACHED"
        if quick and not target.quick:
            verdict = "not judged (--quick)"
        sign = "<=" if target.at_most else ">="
        limit = f"{sign} {target.limit:g} {target.unit}"
        body.append((target.name, verdict, f"{target.value:.2f} {target.unit}", limit))
    return f"Targets\n{table(('target', 'verdict', 'measured', 'wanted'), body)}"
