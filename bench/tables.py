"""The results as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis import Row, Target

GROUPS = {
    "idle": "One boundary, nothing due",
    "tick": "One tick(), nothing due",
    "due": "One boundary with a collection of an empty generation 0",
    "seen": "gc.collect(0) of somebody else, with no, an empty, and gcctl's entry in gc.callbacks",
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
        body = [
            (
                row["subject"],
                row["statement"],
                f"{row['median_ns']:.1f}",
                f"{row['quiet_ns']:.1f}",
                f"{row['times_floor']:.2f}",
                f"{row['times_cheaper_than_source']:.1f}"
                if row["times_cheaper_than_source"]
                else "-",
            )
            for row in rows
            if row["group"] == group
        ]
        head = ("what", "statement", "median ns", "quiet ns", "x floor", "source / this")
        parts.append(f"{title}\n{table(head, body)}")
    return "\n\n".join(parts)


def recording(rows: list[Row]) -> str:
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
    return "Measuring and recording one pause, on top\n" + table(
        ("what", "of a collection", "median ns", "quartiles", "quiet ns"), body
    )


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


def targets(found: list[Target], *, judge_timing: bool) -> str:
    body = []
    for target in found:
        verdict = "reached" if target.reached else "NOT REACHED"
        if target.timing and not judge_timing:
            verdict = "not judged (--quick)"
        sign = "<=" if target.at_most else ">="
        limit = f"{sign} {target.limit:g} {target.unit}"
        body.append((target.name, verdict, f"{target.value:.2f} {target.unit}", limit))
    return f"Targets\n{table(('target', 'verdict', 'measured', 'wanted'), body)}"
