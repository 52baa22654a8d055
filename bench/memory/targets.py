"""What is to be reached, with what was."""

from __future__ import annotations

from bench.memory.stall_worker import OTHER
from bench.support.figures import Row
from bench.support.targets import NS_PER_MS, Target


def targets(results: dict[str, list[Row]]) -> list[Target]:
    return [*returned(results["returned"], results["stalls"]), *batch(results["batch"])]


def returned(rows: list[Row], stalls: list[Row]) -> list[Target]:
    return [
        *(
            Target(
                f"{row['kind']}: returned to the system",
                row["returned_share"] * 100,
                80,
                "%",
                at_most=False,
            )
            for row in rows
        ),
        *(
            Target(
                f"stall by trim() of {row['stalled']}, over rest",
                row["stall_over_rest_ns"] / NS_PER_MS,
                10,
                "ms",
            )
            for row in stalls
            if row["stalled"] == OTHER  # the other row depends on malloc: shown, not judged
        ),
    ]


def batch(rows: list[Row]) -> list[Target]:
    ours = rows[-1]
    apart = abs(ours["times_rss"] - 1) * 100
    return [
        Target("batch(): faster than automatic GC", ours["times_faster"], 1.5, "x", at_most=False),
        Target("batch(): memory apart from automatic GC's", apart, 5, "%"),
    ]
