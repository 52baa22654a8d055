"""Instructions per statement, counted by valgrind.

Unlike a time, a count does not depend on who else uses the machine. It says nothing about how fast
the instructions are, so the targets are judged by the benchmark `boundary`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.boundary import compiled_floors
from bench.boundary.instructions_worker import counted_cases
from bench.boundary.timed_loop import COPIES
from bench.installed import demand_compiled_core
from bench.support import results
from bench.support.processes import command, environment
from bench.support.tables import table

LOOPS = 50
QUICK_LOOPS = 5

OUT = "callgrind.out"


def count(folder: Path, loops: int) -> None:
    """Leaves two files per statement in the folder, numbered from 1."""
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / OUT}"]
    valgrind += ["--zero-before=floors_counted", "--dump-after=floors_counted"]
    words = [*valgrind, *command("bench.boundary.instructions_worker", loops)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nvalgrind failed with status {done.returncode}")


def total(file: Path) -> int:
    # Not its "totals", in which there is some of what went before.
    found = re.search(r"^summary: (\d+)", file.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{file}: no summary in the output of callgrind")
    return int(found[1])


def show(folder: Path, loops: int) -> None:
    body = []
    for index, each in enumerate(counted_cases()[1]):
        of_none, of_loops = (total(folder / f"{OUT}.{2 * index + part}") for part in (1, 2))
        mean = (of_loops - of_none) / (loops * COPIES)
        body.append((each.subject, f"{each.group}: {each.statement}", f"{mean:,.0f}"))
    print(table(("what", "statement", "instructions"), body))


def main() -> None:
    arguments = results.parser("instructions", __doc__).parse_args()
    loops = QUICK_LOOPS if arguments.quick else LOOPS
    demand_compiled_core()
    compiled_floors.build()
    with tempfile.TemporaryDirectory() as folder:
        count(Path(folder), loops)
        show(Path(folder), loops)
