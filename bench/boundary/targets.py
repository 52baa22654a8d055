"""What is to be reached, with what was."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis import Row
from candidates import COUNTING, C
from heaps import AGED, FRESH
from program_set import HEAVY
from stall import OTHER

MIB = 2**20
NS_PER_MS = 1e6


class Target(NamedTuple):
    """Something to reach, and whether it was."""

    name: str
    value: float
    limit: float
    unit: str
    at_most: bool = True
    quick: bool = False
    """Whether a `--quick` run is enough to tell."""

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def as_row(self) -> Row:
        return {**self._asdict(), "reached": self.reached}

    @classmethod
    def of_row(cls, row: Row) -> Target:
        return cls(**{name: row[name] for name in cls._fields})


def targets(results: dict[str, Any]) -> list[Target]:
    """Those of the core, and those of what a process makes of it."""
    return [
        *core(results["timings"], results["recording"], results["memory"], results["accuracy"]),
        *checking(results["timings"]),
        *monitoring(results["monitoring"]),
        *returned(results["returned"], results["stalls"]),
        *batch(results["batch"]),
        *soak(results["soak"]),
        *concurrent(results["concurrent"]),
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
        Target("the same, with a look at the allocation count", counting["times_floor"], 2.5, "x"),
        Target("boundary, nothing due: cheaper than the source's", faster, 12, "x", at_most=False),
        Target("tick(): of the cheapest empty method call", tick["times_floor"], 3, "x"),
        Target("recording a pause of our own, over the collection", record[0], 100, "ns"),
        Target("recording a pause of others, over an empty callback", record[1], 100, "ns"),
        Target("memory asked for per request or tick", max(asked), 0, "times", quick=True),
        # All but a few: between two readings of a clock another process may have its turn.
        Target("pauses within 2 us or 2 % of a clock", agreeing * 100, 99, "%", at_most=False),
    ]


def checking(rows: list[Row]) -> list[Target]:
    # With a share it depends on the machine's control groups: shown, not judged.
    row = next(r for r in rows if r["statement"] == "gcctl.check_memory() # limit on RSS")
    cheaper = row["times_cheaper_than_psutil"]
    return [Target("check_memory(): cheaper than psutil's RSS", cheaper, 6, "x", at_most=False)]


def monitoring(rows: list[Row]) -> list[Target]:
    return [Target("monitoring, over a boundary without it", rows[0]["median_ns"], 150, "ns")]


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
            if row["stalled"] == OTHER  # the other is what malloc makes of it: shown, not judged
        ),
    ]


def batch(rows: list[Row]) -> list[Target]:
    ours = rows[-1]
    apart = abs(ours["times_rss"] - 1) * 100
    return [
        Target("batch(): faster than automatic GC", ours["times_faster"], 1.5, "x", at_most=False),
        Target("batch(): memory apart from automatic GC's", apart, 5, "%"),
    ]


def soak(row: Row | None) -> list[Target]:
    if row is None:
        return []
    rss = row["rss_last_bytes"] - row["rss_first_bytes"]
    blocks = row["blocks_last"] - row["blocks_first"]
    return [
        Target("a day: growth of RSS", rss / MIB, 1, "MiB"),
        Target("a day: growth of allocated blocks", blocks, 50, "blocks"),
    ]


SHORTER = ((2_000_000, FRESH, 15), (10_000_000, FRESH, 25), (2_000_000, AGED, 50))
"""Objects, heap, and how many times shorter than gc.collect() its longest stop is to be."""

JUDGED_OBJECTS = 2_000_000
"""In smaller heaps the fixed part of the child's memory is not small."""

JUDGED_DEAD = 1_000_000
JUDGED_LARGEST = 1_000


def concurrent(parts: dict[str, list[Row]] | None) -> list[Target]:
    """Of what was measured: what was left out, or is smaller than a target speaks of, has none."""
    if parts is None:
        return []
    everything = [parts[part] for part in ("heaps", "garbage", "service")]
    void = sum(row.get("skipped", "").startswith("void") for rows in everything for row in rows)
    heaps, garbage, service = ([row for row in rows if "skipped" not in row] for rows in everything)
    found = [Target("cases with a void collection", void, 0, "cases")]
    found += [
        Target(
            f"{objects // 10**6} M {kind}: gc.collect() over the longest stop",
            row["times_shorter"],
            limit,
            "x",
            at_most=False,
        )
        for objects, kind, limit in SHORTER
        for row in heaps
        if (row["objects"], row["kind"]) == (objects, kind)
    ]
    if heaps:
        most = max(row["table_bytes_per_object"] for row in heaps)
        found.append(Target("child's tables, per tracked object", most, 32, "bytes", quick=True))
    large = [
        row["beyond_tables_share"]
        for row in heaps
        if row["objects"] >= JUDGED_OBJECTS and row["beyond_tables_bytes"] >= 0  # else unknown
    ]
    if large:
        found.append(Target("child's memory beyond them, of the heap", max(large) * 100, 2, "%"))
    if heaps or garbage:
        left = max(row["left"] for row in heaps + garbage)
        found.append(Target("garbage left after two collections", left, 0, "objects", quick=True))
    found += [
        Target("1 M dead, in up to 1,000: longest slice", row["slice_ns"] / NS_PER_MS, 10, "ms")
        for row in garbage
        if (row["dead"], row["largest"]) == (JUDGED_DEAD, JUDGED_LARGEST)
    ]
    return found + [
        Target(f"requests, {row['where']}: {name.upper()}", row[f"times_{name}_due"], limit, "x")
        for row in service
        if row["objects"] >= JUDGED_OBJECTS
        for name, limit in (("p50", 1.10), ("p99", 1.5))
    ]


def programs(rows: list[Row]) -> list[Target]:
    """Of ordinary programs under `auto`. Those on which GC has no great part are to be no slower:
    where the interval of the ratio reaches down to 1, nothing shows that they are."""
    found = []
    for row in rows:
        if row["kind"] == HEAVY:
            name, value, limit = "time, of python's", row["times_seconds"], 0.80
        else:
            name, value, limit = "time, low end", row["times_seconds_interval"][0], 1.0
        found.append(Target(f"{row['program']}: {name}", value, limit, "x"))
        peak = row["times_peak_bytes"]
        found.append(Target(f"{row['program']}: peak memory, of python's", peak, 1.1, "x"))
    return found
