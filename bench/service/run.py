"""A web service under each way of collecting garbage.

A client in a process of its own asks a real Django application under gunicorn, or a Starlette one
under uvicorn. Printed are medians, ratios to automatic GC and whether the targets were reached; the
exit status is 1 when one was not.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench.service import analysis, modes, scenarios, tables, targets, trial
from bench.service.scenarios import Case
from bench.support import results
from bench.support.figures import Row
from bench.support.processes import progress
from bench.support.tables import targets as targets_table
from bench.support.targets import Target


class Size(NamedTuple):
    rounds: int
    seconds: float
    warm_up_seconds: float


FULL = Size(rounds=5, seconds=40, warm_up_seconds=10)
QUICK = Size(rounds=1, seconds=1, warm_up_seconds=0.3)


def measure(cases: list[Case], names: list[str], size: Size) -> list[Row]:
    """A row for each case, with what every mode came to."""
    task = {"seconds": size.seconds, "warm_up_seconds": size.warm_up_seconds}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "shop.sqlite3"
        progress("filling the database")
        trial.seed(database)
        for case in cases:
            trials: dict[str, list[Row]] = {name: [] for name in names}
            for number in range(size.rounds):
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    progress(f"{case.name}: {name}, round {number + 1} of {size.rounds}")
                    try:
                        row = trial.run(case, name, database, {**task, "seed": 2 * number})
                    except trial.Failed as error:
                        sys.exit(f"\n{case.name}, {name}: {error}")
                    trials[name].append(row)
            found.append({"case": case._asdict(), "modes": analysis.summaries(trials)})
    progress("")
    return found


def chosen_cases(arguments: argparse.Namespace, size: Size) -> list[Case]:
    if arguments.scenario:
        cases = [scenarios.SCENARIOS[name] for name in arguments.scenario]
    elif arguments.quick:
        cases = [
            scenarios.heap_case(server, heap)
            for server in arguments.server or scenarios.SERVERS
            for heap in arguments.heap or [scenarios.SMALL]
        ]
    else:
        cases = [
            scenarios.heap_case(server, heap)
            for server in arguments.server or [scenarios.SYNC]
            for heap in arguments.heap or targets.P99
        ]
    if arguments.rate:
        cases = [case._replace(per_second=arguments.rate) for case in cases]
    return [scenarios.brief(case, size.seconds) for case in cases] if arguments.quick else cases


def chosen_modes(asked: list[str] | None) -> list[str]:
    """The modes that this gcctl has. Prints which it does not have, and why."""
    missing = {name: modes.missing(name) for name in asked or modes.MODES}
    for name, why in missing.items():
        if why:
            print(f"left out: {name}: {why}")
    return [name for name, why in missing.items() if not why]


def options() -> argparse.ArgumentParser:
    parser = results.parser_with_json("service", __doc__)
    add = parser.add_argument
    add("--server", nargs="+", choices=scenarios.SERVERS, help="instead of sync alone")
    add("--heap", nargs="+", choices=scenarios.HEAPS, help="what the service keeps")
    add("--scenario", nargs="+", choices=scenarios.SCENARIOS, help="these, in place of the heaps")
    add("--modes", nargs="+", choices=modes.MODES, help="all by default")
    add("--judge", default=modes.AUTO, choices=modes.MODES, help="by the targets (default: auto)")
    add("--rounds", type=int, metavar="N", help="of each case")
    add("--seconds", type=float, metavar="S", help="that are measured in each trial")
    add("--warm-up", type=float, metavar="S", help="seconds before these")
    add("--rate", type=float, metavar="N", help="requests per second")
    add("--plot", metavar="FILE.svg", help="draw the latencies too; needs matplotlib")
    return parser


def main() -> int:
    arguments = options().parse_args()
    if arguments.plot and importlib.util.find_spec("matplotlib") is None:
        sys.exit("--plot needs matplotlib: pip install --group service")
    # So the `with` around the server ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    size = QUICK if arguments.quick else FULL
    size = size._replace(
        rounds=arguments.rounds or size.rounds,
        seconds=arguments.seconds or size.seconds,
        warm_up_seconds=arguments.warm_up or size.warm_up_seconds,
    )
    cases, names = chosen_cases(arguments, size), chosen_modes(arguments.modes)
    found = measure(cases, names, size)
    judged = [
        target
        for case in found
        for mode, row in case["modes"].items()
        if mode == arguments.judge
        for target in targets.targets(Case(**case["case"]), mode, row)
    ]
    report = results.complete({**size._asdict(), "cases": found}, judged)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        from bench.service.plot import plot

        plot(report, arguments.plot)
    return 0 if show(report, judged, quick=arguments.quick) else 1


def show(report: dict[str, Any], judged: list[Target], *, quick: bool) -> bool:
    """Print everything; False when a target that counts was not reached."""
    print(
        f"CPython {report['python']} on {report['machine']}, {report['cpus']} CPUs; "
        f"{report['seconds']:g} s measured after {report['warm_up_seconds']:g} s\n"
    )
    for case in report["cases"]:
        print(tables.case(case["case"], case["modes"]), end="\n\n")
    if judged:
        print(targets_table(judged, quick=quick))
    return all(target.reached for target in judged if target.quick or not quick)
