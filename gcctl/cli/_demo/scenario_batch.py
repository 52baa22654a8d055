"""The scenario "batch": a large structure, built under automatic GC and in `gcctl.batch()`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from gcctl.cli._demo import options, table
from gcctl.cli._demo.child import Command, module, run_alone
from gcctl.cli._demo.progress import Show
from gcctl.cli._demo.scenario import Scenario, Settings
from gcctl.cli._demo.table import Row

OBJECTS, QUICK_OBJECTS = 5_000_000, 500_000
ROUNDS, QUICK_ROUNDS = 3, 1

BASELINE = "automatic"
COLLECTORS = {BASELINE: "automatic GC", "gcctl": "gcctl.batch()"}

COLUMNS: tuple[table.Column, ...] = (
    ("collector", "", lambda row: COLLECTORS[row["collector"]]),
    ("build", "s", lambda row: f"{row['elapsed_ns'] / 1e9:.2f}"),
    ("CPU", "s", lambda row: f"{row['cpu_ns'] / 1e9:.2f}"),
    ("times", "as fast", lambda row: f"{row['speedup']:.2f}"),
    table.COLLECTIONS,
    table.GC_TOTAL,
    table.LONGEST,
    ("RSS after", "MiB", lambda row: table.mib(row["rss_bytes"])),
)


def measure(settings: Settings, command: Command, show: Show) -> list[Row]:
    """One row per collector: medians of all rounds."""
    objects, rounds = settings["objects"], settings["rounds"]
    runs: dict[str, list[Row]] = {collector: [] for collector in COLLECTORS}
    turns = [(number, collector) for number in range(1, rounds + 1) for collector in COLLECTORS]
    for done, (number, collector) in enumerate(turns):
        what = f"{COLLECTORS[collector]}, round {number} of {rounds}"
        show(done, len(turns), what)
        plan = module(command, "batch", objects=objects, gcctl=collector != BASELINE)
        runs[collector].append(run_alone(f"process for {what}", plan, lambda _: None))
    rows = [_row(collector, objects, figures) for collector, figures in runs.items()]
    for row in rows:
        row["speedup"] = round(rows[0]["elapsed_ns"] / row["elapsed_ns"], 3)
    return rows


def _row(collector: str, objects: int, runs: Sequence[Row]) -> Row:
    first = runs[0]

    def median(name: str) -> int:
        return int(statistics.median(run[name] for run in runs))

    return {
        "collector": collector,
        "objects": objects,
        "elapsed_ns": median("elapsed_ns"),
        "elapsed_ns_by_round": [run["elapsed_ns"] for run in runs],
        "cpu_ns": median("cpu_ns"),
        # The same in every round: the program does not depend on chance.
        "collections_by_generation": first["collections_by_generation"],
        "pause_total_ns": median("pause_total_ns"),
        "pause_max_ns": median("pause_max_ns"),
        "rss_bytes": median("rss_bytes"),
        "python": first["python"],
        "implementation": first["implementation"],
    }


def render(rows: Sequence[Row]) -> str:
    first = rows[0]
    rounds = len(first["elapsed_ns_by_round"])
    measured = f"Medians of {rounds} rounds, in turns," if rounds > 1 else "One round,"
    return table.render(
        f"A structure of {first['objects']:,} container objects, "
        f"CPython {first['python']}, {first['implementation']} core",
        COLUMNS,
        rows,
        [
            f"{measured} each run in a fresh process. Build is the time until the",
            "structure is there, with the full collection that ends the batch: a list of dicts",
            "that hold lists, and an index over them. All of it is in use when memory is read.",
        ],
    )


SCENARIO = Scenario(
    name="batch",
    help="build one large structure",
    options={
        "--objects": {
            "type": options.whole(1, 100_000_000),
            "metavar": "N",
            "help": f"container objects in it (default: {OBJECTS}, quick: {QUICK_OBJECTS})",
        },
        "--rounds": {
            "type": options.whole(1, 100),
            "metavar": "N",
            "help": f"how often each is measured (default: {ROUNDS}, quick: {QUICK_ROUNDS})",
        },
    },
    defaults={"objects": OBJECTS, "rounds": ROUNDS},
    quick={"objects": QUICK_OBJECTS, "rounds": QUICK_ROUNDS},
    measure=measure,
    render=render,
)
