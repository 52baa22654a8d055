"""The tests of other projects, under python and under `gcctl run`: which of them end otherwise?

The sources of Flask, Werkzeug and SQLAlchemy come from the package index, by pip; CPython's tests
are those of the python that runs this, if it was installed with them. With `--folder` it is a suite
of your own: a folder that pytest can run, in the environment that gcctl is installed in. The exit
status is 1 where a test ended otherwise that is not known to.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.suites import tables
from bench.suites.catalogue import PYTEST, SUITES, Part, Suite
from bench.suites.comparing import Runner, compare
from bench.suites.sources import Sources, fetch, lacking
from bench.support import results
from bench.support.figures import Row
from bench.support.processes import progress
from bench.support.targets import Target

NAMES = [suite.name for suite in SUITES]
OWN = "own"
TIMEOUT_SECONDS = 1800.0


def run(suite: Suite, sources: Sources, policy: str, timeout: float) -> Row:
    return compare(suite, Runner(suite, sources, policy, timeout))


def run_all(suites: list[Suite], cache: Path, policy: str, timeout: float) -> list[Row]:
    rows = []
    for suite in suites:
        progress(f"getting {suite.name}")
        try:
            sources = fetch(suite, cache)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{suite.name}: {error}") from None
        rows.append(run(suite, sources, policy, timeout))
    return rows


def main() -> int:
    parser = results.parser_with_json("suites", __doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        choices=NAMES,
        help=f"of {', '.join(NAMES)}",
    )
    parser.add_argument("--folder", metavar="PATH", help="a suite of your own instead")
    parser.add_argument("--policy", default="auto", help="the preset under which tests run (auto)")
    parser.add_argument("--cache", metavar="PATH", help="keep what was fetched in this folder")
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"for each run ({TIMEOUT_SECONDS:g})",
    )
    arguments = parser.parse_args()
    names = arguments.only or [each.name for each in SUITES if each.quick or not arguments.quick]
    chosen = [each for each in SUITES if each.name in names]
    left_out = {each.name: why for each in chosen if (why := lacking(each))}
    suites = [each for each in chosen if each.name not in left_out]
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(arguments.cache or temporary).resolve()
        if arguments.folder:
            left_out = {}
            own = Suite(OWN, PYTEST, (Part("."),))
            folder = Path(arguments.folder).resolve()
            sources = Sources(folder, sys.executable, own_environment=False)
            rows = [run(own, sources, arguments.policy, arguments.timeout)]
        else:
            rows = run_all(suites, cache, arguments.policy, arguments.timeout)
    unknown = sum(not each["known"] for row in rows for each in row["differences"])
    judged = [Target("unknown differences", unknown, 0, "tests", quick=True)]
    measured = {"policy": arguments.policy, "left_out": left_out, "suites": rows}
    complete = results.complete(measured, judged)
    return results.finish(complete, tables.parts(rows, left_out), arguments)
