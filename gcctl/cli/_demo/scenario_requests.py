"""The scenario "requests": the policies side by side, on real HTTP requests."""

from __future__ import annotations

from collections.abc import Sequence

from gcctl._config.presets import PRESETS
from gcctl.cli._demo import options, table
from gcctl.cli._demo.child import Command
from gcctl.cli._demo.progress import Show
from gcctl.cli._demo.scenario import Scenario, Settings
from gcctl.cli._demo.table import Row
from gcctl.cli._demo.trial import Plan, measure

BASELINE = "off"
"""The policy that is shown first, for the others to be compared with."""

RATE = 120.0
"""Requests per second. One takes 1.5 to 3 ms, so the server is busy about a quarter of the time. If
requests queue, it is because of a pause, not because of the load."""

REQUESTS, QUICK_REQUESTS = 2_000, 240
"""Measured requests: as many as the source document simulates. The quick number is enough for two
full collections of the fixed schedules."""

WARMUP, QUICK_WARMUP = 200, 40

HEAP = 100_000
"""Live objects: as many as a site of ordinary size keeps in modules, classes and caches. With an
empty server, full collections would seem to cost nothing."""

LABELS = {"off": "off (automatic GC)"}
"""Name of a row, where the policy's name does not say enough."""

COLUMNS: tuple[table.Column, ...] = (
    ("policy", "", lambda row: LABELS.get(row["policy"], str(row["policy"]))),
    ("requests", "/s", lambda row: f"{row['requests_per_s']:.1f}"),
    ("P50", "ms", lambda row: f"{row['p50_ms']:.1f}"),
    ("P99", "ms", lambda row: f"{row['p99_ms']:.1f}"),
    ("worst", "ms", lambda row: f"{row['worst_ms']:.1f}"),
    table.COLLECTIONS,
    table.GC_TOTAL,
    table.LONGEST,
    ("GC/CPU", "%", lambda row: f"{row['gc_cpu_share'] * 100:.1f}"),
    ("RSS", "MiB", lambda row: table.mib(row["rss_bytes"])),
)


def measure_all(settings: Settings, command: Command, show: Show) -> list[Row]:
    """One row per policy."""
    policies = settings["policies"]
    load = {name: settings[name] for name in ("heap", "rate", "requests", "warmup")}
    total = load["requests"] * len(policies)
    rows: list[Row] = []
    for at, policy in enumerate(policies):
        before = load["requests"] * at
        what = f"{policy}, {at + 1} of {len(policies)}"

        def progress(done: int, before: int = before, what: str = what) -> None:
            show(before + done, total, what)

        progress(0)
        rows.append(measure(Plan(policy=policy, **load), command, progress))
    return rows


def render(rows: Sequence[Row]) -> str:
    return table.render(_heading(rows), COLUMNS, rows, _footer(rows))


def _heading(rows: Sequence[Row]) -> str:
    first = rows[0]
    requests = max(row["requests"] + row["errors"] for row in rows)
    return (
        f"{requests:,} requests at {first['rate']:g}/s under each policy, "
        f"{first['heap_objects']:,} live objects, "
        f"CPython {first['python']}, {first['implementation']} core"
    )


def _footer(rows: Sequence[Row]) -> list[str]:
    unanswered = [
        f"{row['policy']}: {row['errors']:,} requests were not answered and are in no other figure."
        for row in rows
        if row["errors"]
    ]
    return [
        *unanswered,
        "Latency runs from when a request was due, at a constant rate, to the last byte of its",
        "answer: a pause counts for every request that it delays. GC/CPU is the total pause over",
        "the server's CPU time. Each policy had a fresh process; its warm-up is not counted.",
    ]


SCENARIO = Scenario(
    name="requests",
    help="serve HTTP requests under each policy in turn",
    options={
        "--heap": {
            "type": options.whole(0, 20_000_000),
            "metavar": "N",
            "help": f"live objects that the server keeps (default: {HEAP})",
        },
        "--requests": {
            "type": options.whole(1, 1_000_000),
            "metavar": "N",
            "help": f"measured requests per policy (default: {REQUESTS}, quick: {QUICK_REQUESTS})",
        },
        "--rate": {
            "type": options.rate,
            "metavar": "R",
            "help": f"requests per second (default: {RATE:g})",
        },
        "--policies": {
            "type": options.policies,
            "metavar": "P,Q",
            "help": f"which, separated by commas, of {', '.join(PRESETS)} (default: all)",
        },
    },
    defaults={
        "heap": HEAP,
        "requests": REQUESTS,
        "warmup": WARMUP,
        "rate": RATE,
        "policies": sorted(PRESETS, key=lambda name: name != BASELINE),
    },
    quick={"requests": QUICK_REQUESTS, "warmup": QUICK_WARMUP},
    measure=measure_all,
    render=render,
)
