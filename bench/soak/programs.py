"""Programs that run on: an asyncio service, a Django site, a Tk and a Qt window, threads.

Each leaves garbage whose finalizers say in which thread they run, and garbage that must not be
finalized in another thread: sockets of an event loop, databases, windows, timers. Now it works, now
it has nothing to do. It runs under python, under `gcctl run`, and with `gcctl.install()`. The exit
status is 1 where a finalizer ran in a thread that is not the program's, or raised something, or the
program did not end by itself; and where one with threads had a larger peak of memory than under
python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.support import results
from bench.support.figures import Row
from bench.support.processes import environment, progress
from bench.support.tables import table
from bench.support.targets import Target

SAMPLES = Path(__file__).resolve().parent / "samples"

SECONDS = 60.0
QUICK_SECONDS = 6.0
"""Enough for gcctl to collect everything once."""
MORE_SECONDS = 120
"""So much longer than it should a program may take before it is ended."""

PLAIN = "plain"
RUN = "run"
INSTALL = "install"
MODES = (PLAIN, RUN, INSTALL)
"""python; `gcctl run`; python, and the program calls `gcctl.install()`."""
QUICK_MODES = (RUN, INSTALL)


class Program(NamedTuple):
    name: str
    file: str
    modules: tuple[str, ...] = ()
    """What it imports that may not be there."""
    screen: bool = False
    """Whether it needs a display of X."""
    words: tuple[str, ...] = ()
    """Its last arguments."""
    judged_by_memory: bool = False

    def lacking(self) -> str:
        """Why it cannot run here; "": it can."""
        missing = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if missing:
            return f"this python has no {', '.join(missing)}"
        if self.screen and not self._screen():
            return "there is no DISPLAY, and no xvfb-run to make one"
        return ""

    def command(self, mode: str, seconds: float) -> list[str]:
        how = [sys.executable, "-m", "gcctl", "run"] if mode == RUN else [sys.executable]
        options = ["--seconds", str(seconds), *(["--install"] if mode == INSTALL else [])]
        screen = self._screen() if self.screen else []
        return [*screen, *how, str(SAMPLES / self.file), *options, *self.words]

    def _screen(self) -> list[str]:
        """What runs a program with a display; it may be the program's own environment."""
        if os.environ.get("DISPLAY"):
            return ["env"]
        return ["xvfb-run", "-a"] if shutil.which("xvfb-run") else []


PROGRAMS = (
    Program("asyncio", "asyncio_service.py"),
    Program("django", "django_site.py", ("django",)),
    Program("tk", "tk_window.py", ("tkinter", "_tkinter"), screen=True),
    Program("qt", "qt_window.py", ("PySide6",)),
    Program("joins", "threads.py", words=("joins",), judged_by_memory=True),
    Program("sleeps", "threads.py", words=("sleeps",), judged_by_memory=True),
)
NAMES = [program.name for program in PROGRAMS]


def run(program: Program, mode: str, seconds: float) -> Row:
    progress(f"{program.name}, {mode}")
    begun = time.monotonic()
    try:
        done = subprocess.run(
            program.command(mode, seconds),
            cwd=SAMPLES,
            env=environment(QT_QPA_PLATFORM="offscreen"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + MORE_SECONDS,
        )
        status, printed, complaints = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        status, printed, complaints = -1, "", f"it did not end in {MORE_SECONDS} s more"
    lines = printed.strip().splitlines()
    told: Row = json.loads(lines[-1]) if lines and not status else {}
    row = {"program": program.name, "mode": mode, "took_seconds": time.monotonic() - begun}
    return row | {"status": status, "complaints": complaints.strip()[-2000:], **told}


def is_right(row: Row) -> bool:
    told = not row["status"] and row["finalized"] > 0
    return told and not row["elsewhere"] and not row["errors"] and not row["complaints"]


COLUMNS = ("made", "finalized", "at the end", "elsewhere", "errors", "peak MiB")


def peaks(rows: Sequence[Row]) -> list[Target]:
    """Of the programs that are judged by memory, against python."""
    judged = {program.name for program in PROGRAMS if program.judged_by_memory}
    plain = {row["program"]: row for row in rows if row["mode"] == PLAIN}
    return [
        Target(
            f"{row['program']}, {row['mode']}: peak memory, of python's",
            row["peak_kib"] / plain[row["program"]]["peak_kib"],
            1.1,
            "x",
        )
        for row in rows
        if row["program"] in judged & plain.keys() and row["mode"] != PLAIN and not row["status"]
    ]


def parts(rows: Sequence[Row], left_out: dict[str, str]) -> list[str]:
    counts = ("made", "finalized", "left_to_the_end")
    head = ("program", "mode", "end", *COLUMNS)
    body = [
        (
            row["program"],
            row["mode"],
            "right" if is_right(row) else f"WRONG, status {row['status']}",
            *(f"{row.get(count, 0):,}" for count in counts),
            f"{sum(row.get('elsewhere', {}).values()):,}",
            f"{len(row.get('errors', []))}",
            f"{row.get('peak_kib', 0) / 1024:.1f}",
        )
        for row in rows
    ]
    return [
        *(f"left out: {name}: {why}" for name, why in left_out.items()),
        f"Where garbage was finalized\n{table(head, body, texts=3)}",
        *(
            f"{row['program']}, {row['mode']}: {row.get('elsewhere')} {row.get('errors')}\n"
            f"{row['complaints']}"
            for row in rows
            if not is_right(row)
        ),
    ]


def main() -> int:
    parser = results.parser_with_json("soak-programs", __doc__)
    parser.add_argument("--seconds", type=float, help=f"of each run ({SECONDS:g})")
    for option, names in (("--only", NAMES), ("--modes", list(MODES))):
        parser.add_argument(
            option,
            nargs="+",
            metavar="NAME",
            choices=names,
            help=f"of {', '.join(names)}",
        )
    arguments = parser.parse_args()
    programs = [each for each in PROGRAMS if each.name in (arguments.only or NAMES)]
    modes = arguments.modes or (QUICK_MODES if arguments.quick else MODES)
    left_out = {each.name: why for each in programs if (why := each.lacking())}
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    rows = [
        run(program, mode, seconds)
        for program in programs
        if program.name not in left_out
        for mode in MODES
        if mode in modes
    ]
    progress("")
    wrong = sum(not is_right(row) for row in rows)
    judged = [Target("runs that were not right", wrong, 0, "runs", quick=True)]
    judged += peaks(rows)
    complete = results.complete({"left_out": left_out, "runs": rows}, judged)
    return results.finish(complete, parts(rows, left_out), arguments)
