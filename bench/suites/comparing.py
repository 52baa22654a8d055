"""Runs the parts of a suite under python and under `gcctl run`, and compares how tests ended.

A test may end otherwise from one run to the next for reasons of its own. So those that differ are
run again on both sides. One counts as different only if it ended on one side as it never did on the
other.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.suites.catalogue import CPYTHON, KNOWN, Part, Suite
from bench.suites.outcomes import WHOLE, Outcomes, end_of, read
from bench.suites.sources import Sources
from bench.support.figures import Row
from bench.support.processes import environment, progress

AGAIN = 2
"""How often a test that differs is run again."""


class Runner:
    """Runs parts of one suite."""

    def __init__(self, suite: Suite, sources: Sources, policy: str, timeout: float) -> None:
        self._suite = suite
        self._sources = sources
        self._timeout = timeout
        self.python = [sources.python]
        self.gcctl = [sources.python, "-m", "gcctl", "run", "--policy", policy]

    def run(self, how: Sequence[str], part: Part, only: Sequence[str] = ()) -> Outcomes:
        """`only`: these tests of the part; none given: all."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "results.xml")
            try:
                done = subprocess.run(
                    [*how, *self._words(part, only, file)],
                    cwd=self._sources.folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=self._timeout,
                )
                end = f"ended with status {done.returncode} and no results"
            except subprocess.TimeoutExpired:
                end = f"did not end in {self._timeout:g} s"
            return read(file) if file.exists() and file.stat().st_size else {WHOLE: end}

    def _words(self, part: Part, only: Sequence[str], file: Path) -> list[str]:
        if self._suite.runner == CPYTHON:
            chosen = [word for name in only for word in ("-m", name)]
            return ["-m", "test", "--junit-xml", str(file), *part.options, *chosen, part.tests]
        options = ["--rootdir=.", "-pno:cacheprovider", "-ojunit_family=xunit1"]
        tests = only or [part.tests]
        return ["-m", "pytest", "-q", f"--junitxml={file}", *options, *part.options, *tests]

    def _environment(self) -> dict[str, str]:
        # Of the plugins that are installed a suite names those that it needs.
        own = self._sources.own_environment
        return environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1") if own else environment()


def compare(suite: Suite, runner: Runner) -> Row:
    """How many tests there are, which of them differ, and which changed by themselves."""
    row: Row = {"suite": suite.name, "tests": 0, "differences": [], "changing": []}
    for part in suite.parts:
        what = f"{suite.name} {part.tests}"
        progress(f"{what} under python")
        begun = time.monotonic()
        python = runner.run(runner.python, part)
        progress(f"{what} under gcctl")
        gcctl = runner.run(runner.gcctl, part)
        row["tests"] += len(python.keys() | gcctl.keys())
        names = sorted(python.keys() | gcctl.keys())
        names = [WHOLE] if WHOLE in names else names
        seen = {
            name: ({end_of(name, python)}, {end_of(name, gcctl)})
            for name in names
            if python.get(name) != gcctl.get(name)
        }
        if seen:
            only = [] if WHOLE in seen else list(seen)
            for turn in range(AGAIN):
                progress(f"{what}: {len(seen)} differ, again ({turn + 1} of {AGAIN})")
                for how, side in ((runner.python, 0), (runner.gcctl, 1)):
                    outcomes = runner.run(how, part, only)
                    for name, both in seen.items():
                        if name in outcomes or not only:
                            both[side].add(end_of(name, outcomes))
        for name, (one, other) in seen.items():
            entry = {
                "test": name,
                "python": sorted(one),
                "gcctl": sorted(other),
                "known": KNOWN.get(name, ""),
            }
            row["changing" if one & other else "differences"].append(entry)
        progress("")
        seconds = time.monotonic() - begun
        print(f"{what}: {len(seen)} of {len(names)} differ, {seconds:.0f} s", file=sys.stderr)
    return row
