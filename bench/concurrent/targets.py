"""What is to be reached, with what was."""

from __future__ import annotations

from bench.support.figures import Row
from bench.support.heaps import AGED, FRESH
from bench.support.targets import NS_PER_MS, Target

SHORTER = ((2_000_000, FRESH, 15), (10_000_000, FRESH, 25), (2_000_000, AGED, 50))
"""Objects, heap, and how many times shorter than gc.collect() its longest stop is to be."""

JUDGED_OBJECTS = 2_000_000
"""In smaller heaps the fixed part of the child's memory is not small."""

JUDGED_DEAD = 1_000_000
JUDGED_LARGEST = 1_000


def targets(parts: dict[str, list[Row]] | None) -> list[Target]:
    """The targets of the cases that were measured, and are as large as a target wants them."""
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
