"""What is to be reached, with what was."""

from __future__ import annotations

from bench.programs.modes import HEAVY
from bench.support.figures import Row
from bench.support.targets import Target


def targets(rows: list[Row]) -> list[Target]:
    """The targets of programs under `auto`. Those that need little GC are to be no slower: where
    the interval of the ratio reaches down to 1, nothing shows that they are slower."""
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
