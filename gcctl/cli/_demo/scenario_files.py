"""The scenario "files": large files in chunks, under a memory limit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence

from gcctl._base.units import size
from gcctl.cli._demo import options, table
from gcctl.cli._demo.child import Command, TrialError, module, run_alone
from gcctl.cli._demo.processes.files import CHUNK_BYTES, EVERY, MIB
from gcctl.cli._demo.progress import Show
from gcctl.cli._demo.scenario import Scenario, Settings
from gcctl.cli._demo.table import Row

SIZES, QUICK_SIZES = [50, 100, 200, 500], [50, 100]
"""MiB, the sizes of the source document."""

LIMIT = 32
"""MiB above memory at the start: less than the garbage of ten chunks, so that it is reached."""

COLLECTORS = {"automatic": "automatic GC", "gcctl": "gcctl"}


def _label(row: Row) -> str:
    return f"{row['file_bytes'] // MIB} MiB, {COLLECTORS[row['collector']]}"


def _optional(text: str, row: Row) -> str:
    return text if row["collector"] == "gcctl" else "-"


COLUMNS: tuple[table.Column, ...] = (
    ("file, collector", "", _label),
    ("before", "MiB", lambda row: table.mib(row["rss_before_bytes"])),
    ("peak", "MiB", lambda row: table.mib(row["rss_peak_bytes"])),
    ("after", "MiB", lambda row: table.mib(row["rss_after_bytes"])),
    ("limit", "MiB", lambda row: _optional(table.mib(row["memory_limit_bytes"] or 0), row)),
    ("over", "limit", lambda row: _optional(f"{row['high_memory_events']:,}", row)),
    ("time", "s", lambda row: f"{row['elapsed_ns'] / 1e9:.2f}"),
    ("CPU", "s", lambda row: f"{row['cpu_ns'] / 1e9:.2f}"),
    table.COLLECTIONS,
    table.GC_TOTAL,
)


def measure(settings: Settings, command: Command, show: Show) -> list[Row]:
    """Two rows per file: with automatic GC and with gcctl."""
    sizes = settings["sizes"]
    _demand_space(max(sizes) * MIB)
    total = len(COLLECTORS) * sum(sizes)
    before = 0
    rows: list[Row] = []
    for mib in sizes:
        for collector, name in COLLECTORS.items():
            limit_bytes = settings["limit"] * MIB if collector == "gcctl" else None
            what = f"{mib} MiB, {name}"

            def progress(done: int, before: int = before, what: str = what) -> None:
                show(before + done, total, what)

            progress(0)
            figures = run_alone(
                f"process for {what}",
                module(command, "files", mib=mib, limit_bytes=limit_bytes),
                progress,
            )
            rows.append({"file_bytes": mib * MIB, "collector": collector, **figures})
            before += mib
        _demand_same_result(rows[-len(COLLECTORS) :])
    return rows


def _demand_space(needed_bytes: int) -> None:
    try:
        folder = tempfile.gettempdir()
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise TrialError(f"no temporary folder can be used: {error}") from error
    if free_bytes < needed_bytes:
        raise TrialError(
            f"{folder} has {size(free_bytes)} free and {size(needed_bytes)} are needed: "
            "name another folder in TMPDIR, or smaller files in --sizes"
        )


def _demand_same_result(rows: Sequence[Row]) -> None:
    results = {(row["checksum"], row["words"]) for row in rows}
    if len(results) != 1:
        raise TrialError(f"the same file gave different results: {results}")


def render(rows: Sequence[Row]) -> str:
    first = rows[0]
    return table.render(
        f"Files in chunks of {CHUNK_BYTES // MIB} MiB, "
        f"CPython {first['python']}, {first['implementation']} core",
        COLUMNS,
        rows,
        [
            "Before, peak and after are the resident set of a fresh process that writes one file,",
            "reads it, and makes of each chunk records that refer to it and to each other. With",
            f"gcctl: batched_gc(chunks, every={EVERY}) under memory_limit; over limit is how often",
            "memory went over it. It ends with a full collection, automatic GC with none.",
        ],
    )


SCENARIO = Scenario(
    name="files",
    help="process large files in chunks, under a memory limit",
    options={
        "--sizes": {
            "type": options.wholes(1, 100_000),
            "metavar": "M,N",
            "help": "MiB of each file (default: 50,100,200,500, quick: 50,100)",
        },
        "--limit": {
            "type": options.whole(1, 1_000_000),
            "metavar": "N",
            "help": f"MiB that memory may grow with gcctl (default: {LIMIT})",
        },
    },
    defaults={"sizes": SIZES, "limit": LIMIT},
    quick={"sizes": QUICK_SIZES},
    measure=measure,
    render=render,
)
