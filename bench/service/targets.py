"""What a mode is to reach against automatic GC, with what it reached."""

from __future__ import annotations

from bench.service.scenarios import SCENARIOS, Case
from bench.support.figures import Row
from bench.support.targets import NS_PER_MS, Target

P99 = {"site": 0.90, "0.5M": 0.50, "2M": 0.30}
GC_TIME = {"site": 0.58, "0.5M": 0.58, "2M": 0.40}
"""The highest ratios to automatic GC's that reach the target, by heap."""

RSS = 1.05
LARGEST = "2M"
IN_REQUEST_MS = 10
ANY_STOP_MS = 15
"""In the largest heap."""

NEVER_WORSE = 1.03
"""The highest ratio to automatic GC's P99 that reaches the target in the scenarios."""


def targets(case: Case, mode: str, row: Row) -> list[Target]:
    """The targets of this case for which there are figures."""
    about = f"{case.name}, {mode}"
    found = [Target(f"{about}: errors", row["errors"], 0, "requests", quick=True)]
    if case.name in SCENARIOS and row.get("times_p99_ns"):
        # The target is missed only where the P99 is worse beyond doubt; the table has the interval.
        low = row["times_p99_ns"]["low"]
        found.append(Target(f"{about}: P99, lower end of its interval", low, NEVER_WORSE, "x"))
    if case.heap not in P99:
        return found
    ratios = (("P99", "p99_ns", P99[case.heap]), ("GC time", "gc_ns", GC_TIME[case.heap]))
    found += [
        Target(f"{about}: {what}", row[f"times_{name}"]["median"], limit, "x")
        for what, name, limit in (*ratios, ("RSS at the end", "rss_bytes", RSS))
        if row.get(f"times_{name}")
    ]
    in_request_ms = row["longest_in_request_cpu_ns"] / NS_PER_MS
    found.append(
        Target(f"{about}: longest pause inside a request", in_request_ms, IN_REQUEST_MS, "ms")
    )
    if case.heap == LARGEST:
        any_ms = row["longest_of_all_cpu_ns"] / NS_PER_MS
        found.append(Target(f"{about}: longest stop of any kind", any_ms, ANY_STOP_MS, "ms"))
    return found
