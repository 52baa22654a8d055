"""Instructions per statement, counted by valgrind: `python bench/instructions.py`.

Unlike a time, a count does not depend on who else uses the machine. It says nothing about how fast
the instructions are, so the targets are judged by bench/run.py.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import floor
import tables
from candidates import Candidate, candidates, demand_compiled_core
from loop import COPIES, compile_loop

WARM_UP = 10
"""Loops before those that count, so that the interpreter has specialised the statement."""

LOOPS = 50

GROUPS = ("idle", "tick", "due", "seen")
"""Not the looks at memory: most of one is in the kernel, of which valgrind sees nothing."""

OUT = "callgrind.out"


def measured() -> tuple[dict[str, Any], list[Candidate]]:
    names, all_of_them = candidates()
    return names, [candidate for candidate in all_of_them if candidate.group in GROUPS]


def run_statements() -> None:
    """What runs under valgrind: each statement in two counted calls, of no loop and of LOOPS."""
    gc.disable()
    names, statements = measured()
    counted = floor.load().counted
    for candidate in statements:
        timed = compile_loop(candidate.statement, names)
        with candidate.ready():
            timed(WARM_UP)
            counted(timed, 0)
            counted(timed, LOOPS)


def count(folder: Path) -> None:
    """Leaves two files per statement in the folder, numbered from 1."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / OUT}"]
    command += ["--zero-before=floors_counted", "--dump-after=floors_counted"]
    command += [sys.executable, __file__, "--run"]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GCCTL_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nvalgrind failed with status {done.returncode}")


def total(file: Path) -> int:
    # Not its "totals", in which there is some of what went before.
    found = re.search(r"^summary: (\d+)", file.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{file}: no summary in the output of callgrind")
    return int(found[1])


def show(folder: Path) -> None:
    body = []
    for index, each in enumerate(measured()[1]):
        none, loops = (total(folder / f"{OUT}.{2 * index + part}") for part in (1, 2))
        mean = (loops - none) / (LOOPS * COPIES)
        body.append((each.subject, f"{each.group}: {each.statement}", f"{mean:,.0f}"))
    print(tables.table(("what", "statement", "instructions"), body))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench/instructions.py", description="Instructions per statement, by valgrind."
    )
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_statements()
        return
    demand_compiled_core()
    if shutil.which("valgrind") is None:
        print("instructions were not counted: valgrind is not installed")
        return
    floor.build()
    with tempfile.TemporaryDirectory() as folder:
        count(Path(folder))
        show(Path(folder))


if __name__ == "__main__":
    main()
