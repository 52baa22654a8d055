"""What is to be reached, with what was."""

from __future__ import annotations

from typing import Any

from bench.boundary.cases import COUNTING
from bench.support.figures import Row
from bench.support.subjects import C
from bench.support.targets import Target


def targets(results: dict[str, Any]) -> list[Target]:
    return [
        *core(results["timings"], results["recording"], results["memory"], results["accuracy"]),
        *checking(results["timings"]),
        *monitoring(results["monitoring"]),
    ]


def core(
    rows: list[Row], recorded: list[Row], memory: list[Row], accuracy: list[Row]
) -> list[Target]:
    ours = [row for row in rows if row["subject"] == C]
    idle = next(row for row in ours if row["statement"] == "with gcctl.request(): pass")
    counting = next(row for row in ours if row["statement"] == COUNTING)
    tick = next(row for row in ours if row["group"] == "tick")
    record = [row["median_ns"] for row in recorded if row["subject"] == C]
    asked = [
        row["allocations_per_boundary"]
        for row in memory
        if row["subject"] == C and row["group"] != "due"
    ]
    pauses = [row for row in accuracy if row["subject"] == C]
    agreeing = sum(row["agreeing"] for row in pauses) / sum(row["collections"] for row in pauses)
    faster = idle["times_cheaper_than_source"]
    return [
        Target(
            "boundary, nothing due: of the cheapest empty `with`", idle["times_floor"], 1.3, "x"
        ),
        Target("the same, and the allocation count is read", counting["times_floor"], 2.5, "x"),
        Target("boundary, nothing due: cheaper than the source's", faster, 12, "x", at_most=False),
        Target("tick(): of the cheapest empty method call", tick["times_floor"], 3, "x"),
        Target("recording a pause of our own, over the collection", record[0], 100, "ns"),
        Target("recording a pause of others, over an empty callback", record[1], 100, "ns"),
        Target("memory asked for per request or tick", max(asked), 0, "times", quick=True),
        # Not all: between two readings of a clock another process may have its turn.
        Target("pauses within 2 us or 2 % of a clock", agreeing * 100, 99, "%", at_most=False),
    ]


def checking(rows: list[Row]) -> list[Target]:
    # With a share it depends on the machine's control groups: shown, not judged.
    row = next(r for r in rows if r["statement"] == "gcctl.check_memory() # limit on RSS")
    cheaper = row["times_cheaper_than_psutil"]
    return [Target("check_memory(): cheaper than psutil's RSS", cheaper, 6, "x", at_most=False)]


def monitoring(rows: list[Row]) -> list[Target]:
    return [Target("monitoring, over a boundary without it", rows[0]["median_ns"], 150, "ns")]
