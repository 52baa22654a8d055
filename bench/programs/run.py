"""Ordinary programs under `gcctl run`, against python itself.

Each program runs in a process of its own, once in each mode in each round. It has to print the same
in all of them. Printed are medians, ratios and whether the targets were reached; the exit status is
1 when one was not.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.programs import tables
from bench.programs.gc_setting import WATCHED
from bench.programs.modes import AUTO, GC_SETTING, MODES, PLAIN, PROGRAMS, Program, why_not
from bench.programs.targets import targets
from bench.support import results
from bench.support.figures import Row, interval
from bench.support.processes import progress, script

TIMING_WORKER = str(Path(__file__).resolve().parent / "timing_worker.py")

ROUNDS = 12
"""With so many, the interval leaves out the three least and the three greatest."""

QUICK_SCALE = 0.02

NAMES = [program.name for program in PROGRAMS]
FIGURES = ("seconds", "cpu_seconds", "peak_bytes")


def watch(program: Program, scale: float) -> Row:
    """A run before all others: what python's GC does in the program, and what it has to print."""
    progress(f"{program.name}, watched")
    *printed, seen = script(GC_SETTING, WATCHED, *program.words(scale)).strip().splitlines()
    return {
        "program": program.name,
        "file": program.file,
        "kind": program.kind,
        "printed": "\n".join(printed),
        **json.loads(seen),
    }


def run(program: Program, mode: str, scale: float, number: int) -> Row:
    row = json.loads(script(TIMING_WORKER, number, *program.command(mode, scale)))
    return {"program": program.name, "mode": mode, "round": number, **row}


def measure(
    programs: Sequence[Program], modes: Sequence[str], scale: float, rounds: int
) -> dict[str, list[Row]]:
    """What was seen of each program, all its runs, and what these come to."""
    seen = [watch(program, scale) for program in programs]
    runs = []
    for number in range(rounds):
        for place, program in enumerate(programs):
            first = (number + place) % len(modes)
            for mode in (*modes[first:], *modes[:first]):
                progress(f"{program.name}, {mode}, round {number + 1} of {rounds}")
                row = run(program, mode, scale, number)
                if row["printed"] != seen[place]["printed"]:
                    sys.exit(
                        f"{program.name} printed {row['printed']!r} in mode {mode}, "
                        f"and {seen[place]['printed']!r} before"
                    )
                runs.append(row)
    progress("")
    rows = [
        compared(program, mode, runs)
        for program in programs
        for mode in modes  # in the order of the table
    ]
    return {"watched": seen, "programs": rows, "runs": runs}


def compared(program: Program, mode: str, runs: list[Row]) -> Row:
    """Medians of a program in a mode, and of its ratios to the plain run of the same round."""
    mine, plain = (
        [run for run in runs if (run["program"], run["mode"]) == (program.name, which)]
        for which in (mode, PLAIN)
    )
    row: Row = {"program": program.name, "kind": program.kind, "mode": mode, "rounds": len(mine)}
    for figure in FIGURES:
        ratios = [a[figure] / b[figure] for a, b in zip(mine, plain, strict=True)]
        row[figure] = statistics.median(run[figure] for run in mine)
        row[f"times_{figure}"] = statistics.median(ratios)
        row[f"times_{figure}_interval"] = interval(ratios)
    return row


def main() -> int:
    parser = results.parser_with_json("programs", __doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help=f"of all runs ({ROUNDS})")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        choices=NAMES,
        default=NAMES,
        help=f"of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--modes",
        nargs="+",
        metavar="MODE",
        choices=MODES,
        default=MODES,
        help=f"of {', '.join(MODES)}; {PLAIN} is always there",
    )
    parser.add_argument("--scale", type=float, metavar="X", help="how much work, for 1 of some s")
    arguments = parser.parse_args()
    if not hasattr(os, "wait4"):
        sys.exit("this benchmark needs os.wait4(), which is not on this system")
    left_out = {mode: why for mode in arguments.modes if (why := why_not(mode))}
    modes = [mode for mode in MODES if mode in {PLAIN, *arguments.modes} - left_out.keys()]
    programs = [each for each in PROGRAMS if each.name in arguments.only]
    scale = arguments.scale or (QUICK_SCALE if arguments.quick else 1)
    rounds = arguments.rounds or (1 if arguments.quick else ROUNDS)
    found = measure(programs, modes, scale, rounds)
    judged = targets([row for row in found["programs"] if row["mode"] == AUTO])
    complete = results.complete({"scale": scale, "left_out": left_out, **found}, judged)
    return results.finish(complete, tables.parts(complete), arguments)
