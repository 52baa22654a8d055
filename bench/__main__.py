"""`python -m bench` lists the benchmarks, `python -m bench NAME` runs one of them.

Start it in the root of the checkout, with a Python that gcctl is installed for.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

from bench import ROOT
from bench.catalogue import BENCHMARKS, Benchmark, find
from bench.installed import MEASURED, gcctl_folder, gcctl_version
from bench.support.tables import table

USAGE = """\
python -m bench NAME [OPTIONS]     runs a benchmark; --quick: briefly, judging no timing
python -m bench NAME --help        its options
python -m bench all [--quick]      runs all that this machine has everything for
"""


def listing() -> str:
    rows = [
        (
            each.name,
            each.shows,
            each.takes,
            each.takes_quick,
            "; ".join(need.text for need in each.needs) or "-",
        )
        for each in BENCHMARKS
    ]
    return f"{USAGE}\n{table(('name', 'shows', 'takes', '--quick', 'needs'), rows, texts=5)}"


def run(benchmark: Benchmark, options: list[str]) -> int | None:
    """In this process. Returns the exit status."""
    lacking = benchmark.lacking()
    if lacking:
        sys.exit(f"{benchmark.name} needs what is not here: {lacking}")
    os.environ[MEASURED] = folder = gcctl_folder()
    print(f"measured: gcctl {gcctl_version()} in {folder}", file=sys.stderr)
    sys.argv[:] = [f"bench {benchmark.name}", *options]
    status: int | None = importlib.import_module(benchmark.module).main()
    return status


def run_all(options: list[str]) -> int:
    """Each in a process of its own, one after the other. Returns 1 where one failed."""
    if set(options) - {"--quick"}:
        sys.exit(f"all: expected no option but --quick, found {' '.join(options)}")
    ends = []
    for each in BENCHMARKS:
        lacking = each.lacking()
        if lacking:
            ends.append((each.name, f"left out, for want of {lacking}"))
            continue
        print(f"\n=== {each.name}: {each.shows}", flush=True)
        words = [sys.executable, "-m", "bench", each.name, *options]
        status = subprocess.run(words, cwd=ROOT).returncode
        ends.append((each.name, f"FAILED with status {status}" if status else "done"))
    print(f"\n{table(('benchmark', 'end'), ends)}")
    return int(any(end.startswith("FAILED") for _, end in ends))


def main(arguments: list[str]) -> int | None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(listing())
        return 0
    name, *options = arguments
    if name == "all":
        return run_all(options)
    benchmark = find(name)
    if benchmark is None:
        print(f"there is no benchmark {name!r}\n\n{listing()}", file=sys.stderr)
        return 2
    return run(benchmark, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
