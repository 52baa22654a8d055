"""`gcctl demo`: the policies side by side, on real HTTP requests."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence

from gcctl._demo import table
from gcctl._demo.progress import Progress
from gcctl._demo.trial import Plan, Row, TrialError, measure
from gcctl.cli._python import same_gcctl
from gcctl.policy import PRESETS

BASELINE = "off"
"""Shown first: what the others are to be compared with."""

RATE = 120.0
"""Requests per second. One takes 1.5 to 3 ms, so the server is about a quarter busy: a queue is
always the work of a pause, never of the load."""

REQUESTS, QUICK_REQUESTS = 2_000, 240
"""Measured requests: as many as the source document simulates; and, in a hurry, enough for the
fixed schedules to come to two full collections."""

WARMUP, QUICK_WARMUP = 200, 40

HEAP = 100_000
"""Live objects: what a site of ordinary size keeps in modules, classes and caches. An empty server
would make full collections look free."""

ERROR = 1
INTERRUPTED = 130


class DemoCommand:
    """Measure each policy in turn and print one table."""

    name = "demo"
    help = "serve real HTTP requests under each policy in turn and print the figures side by side"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--quick", action="store_true", help="fewer requests: under 20 seconds, rougher figures"
        )
        parser.add_argument(
            "--heap",
            type=_whole(0, 20_000_000),
            default=HEAP,
            metavar="N",
            help=f"live objects that the server keeps (default: {HEAP})",
        )
        parser.add_argument(
            "--requests",
            type=_whole(1, 1_000_000),
            metavar="N",
            help=f"measured requests per policy (default: {REQUESTS}, quick: {QUICK_REQUESTS})",
        )
        parser.add_argument(
            "--rate",
            type=_rate,
            default=RATE,
            metavar="R",
            help=f"requests per second (default: {RATE:g})",
        )
        parser.add_argument(
            "--policies",
            type=_policies,
            default=sorted(PRESETS, key=lambda name: name != BASELINE),
            metavar="P,Q",
            help=f"which, separated by commas, of {', '.join(PRESETS)} (default: all)",
        )
        parser.add_argument(
            "--json", action="store_true", help="print a list of rows as JSON instead of the table"
        )

    def run(self, args: argparse.Namespace) -> int:
        plans = [
            Plan(
                policy=policy,
                heap=args.heap,
                rate=args.rate,
                requests=args.requests or (QUICK_REQUESTS if args.quick else REQUESTS),
                warmup=QUICK_WARMUP if args.quick else WARMUP,
            )
            for policy in args.policies
        ]
        try:
            rows = _measure_all(plans)
        except TrialError as error:
            print(f"gcctl demo: error: {error}", file=sys.stderr)
            return ERROR
        except KeyboardInterrupt:
            print("gcctl demo: interrupted", file=sys.stderr)
            return INTERRUPTED
        print(json.dumps(rows, indent=2) if args.json else table.render(rows), flush=True)
        return 0


def _measure_all(plans: Sequence[Plan]) -> list[Row]:
    progress = Progress(sys.stderr, sum(plan.requests for plan in plans))
    rows: list[Row] = []
    before = 0
    try:
        for at, plan in enumerate(plans, start=1):
            what = f"{plan.policy}, {at} of {len(plans)}"

            def show(done: int, before: int = before, what: str = what) -> None:
                progress.show(before + done, what)

            show(0)
            rows.append(measure(plan, same_gcctl, show))
            before += plan.requests
    finally:
        progress.clear()
    return rows


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise _rejected(text, f"a whole number from {low} to {high}")
        return value

    return parse


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 10_000:
        raise _rejected(text, "a number of requests per second from 1 to 10000")
    return value


def _policies(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PRESETS:
            raise _rejected(name, f"names out of {', '.join(PRESETS)}, separated by commas")
    return list(dict.fromkeys(names))


def _rejected(text: str, accepted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not accepted; expected {accepted}")
