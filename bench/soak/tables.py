"""The results as text."""

from __future__ import annotations

from bench.support.figures import Row
from bench.support.tables import table


def day(row: Row | None) -> str:
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
