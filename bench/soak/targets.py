"""What is to be reached, with what was."""

from __future__ import annotations

from bench.support.figures import Row
from bench.support.targets import MIB, Target


def targets(row: Row | None) -> list[Target]:
    if row is None:
        return []
    rss = row["rss_last_bytes"] - row["rss_first_bytes"]
    blocks = row["blocks_last"] - row["blocks_first"]
    return [
        Target("a day: growth of RSS", rss / MIB, 1, "MiB"),
        Target("a day: growth of allocated blocks", blocks, 50, "blocks"),
    ]
