"""The results as text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.support.figures import Row
from bench.support.tables import table


def parts(rows: Sequence[Row], left_out: dict[str, str]) -> list[str]:
    head = ("suite", "tests", "differ", "of them known", "changed by themselves")
    body = [
        (
            row["suite"],
            f"{row['tests']:,}",
            f"{len(row['differences'])}",
            f"{sum(bool(each['known']) for each in row['differences'])}",
            f"{len(row['changing'])}",
        )
        for row in rows
    ]
    return [
        *(f"left out: {name}: {why}" for name, why in left_out.items()),
        f"Tests of other projects, under python and `gcctl run`\n{table(head, body, texts=1)}",
        *_listing("They ended otherwise under gcctl", rows, "differences"),
        *_listing("They ended now one way, now another, on the same side", rows, "changing"),
    ]


def _listing(title: str, rows: Sequence[Row], which: str) -> list[str]:
    body = [
        (
            each["test"],
            " or ".join(each["python"]),
            " or ".join(each["gcctl"]),
            "yes" if each["known"] else "no",
        )
        for row in rows
        for each in row[which]
    ]
    head = ("test", "python", "gcctl", "known")
    known = {each["test"]: each["known"] for row in rows for each in row[which] if each["known"]}
    reasons = [f"{test}: {why}" for test, why in known.items()]
    return ["\n".join((f"{title}\n{table(head, body, texts=4)}", *reasons))] if body else []
