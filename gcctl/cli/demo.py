"""`gcctl demo`: measures real work with and without gcctl, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gcctl.cli._demo import scenario_batch, scenario_files, scenario_requests
from gcctl.cli._demo.child import TrialError
from gcctl.cli._demo.progress import Progress
from gcctl.cli._demo.scenario import Scenario
from gcctl.cli._demo.table import Row
from gcctl.cli._python import same_gcctl

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        scenario_requests.SCENARIO,
        scenario_files.SCENARIO,
        scenario_batch.SCENARIO,
    )
}
DEFAULT = scenario_requests.SCENARIO.name

ERROR = 1
INTERRUPTED = 130


class DemoCommand:
    """Measure one scenario and print its table."""

    name = "demo"
    help = "measure real work with and without gcctl and print the figures side by side"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--scenario",
            choices=SCENARIOS,
            default=DEFAULT,
            help="; ".join(f"{name}: {it.help}" for name, it in SCENARIOS.items())
            + f" (default: {DEFAULT})",
        )
        parser.add_argument(
            "--quick", action="store_true", help="less of it: under 20 seconds, rougher figures"
        )
        parser.add_argument(
            "--json", action="store_true", help="print a list of rows as JSON instead of the table"
        )
        for scenario in SCENARIOS.values():
            group = parser.add_argument_group(f"options of --scenario {scenario.name}")
            for flag, arguments in scenario.options.items():
                # No default: an option that is there was given, perhaps for another scenario.
                group.add_argument(flag, default=argparse.SUPPRESS, **arguments)

    def run(self, args: argparse.Namespace) -> int:
        scenario = SCENARIOS[args.scenario]
        quick = scenario.quick if args.quick else {}
        try:
            rows = _measure(scenario, {**scenario.defaults, **quick, **_given(args)})
        except TrialError as error:
            print(f"gcctl demo: error: {error}", file=sys.stderr)
            return ERROR
        except KeyboardInterrupt:
            print("gcctl demo: interrupted", file=sys.stderr)
            return INTERRUPTED
        print(json.dumps(rows, indent=2) if args.json else scenario.render(rows), flush=True)
        return 0


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The scenario's options on the command line. Options of another scenario are an error."""
    given = {}
    for name, scenario in SCENARIOS.items():
        for flag in scenario.options:
            option = flag.removeprefix("--")
            if option not in args:
                continue
            if name != args.scenario:
                args.parser.error(
                    f"argument {flag}: belongs to --scenario {name}, not to {args.scenario}"
                )
            given[option] = getattr(args, option)
    return given


def _measure(scenario: Scenario, settings: dict[str, Any]) -> list[Row]:
    progress = Progress(sys.stderr)
    try:
        return scenario.measure(settings, same_gcctl, progress.show)
    finally:
        progress.clear()


COMMAND = DemoCommand()
