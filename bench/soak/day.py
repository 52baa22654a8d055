"""A simulated day of a service: does anything grow? Prints a row in JSON."""

from __future__ import annotations

import json

from bench.support import results
from bench.support.figures import Row
from bench.support.processes import worker

FULL = 10_000_000
"""Boundaries of 24 hours."""
QUICK = 200_000


def measure(boundaries: int) -> Row:
    row: Row = json.loads(worker("bench.soak.day_worker", boundaries))
    return row


def main() -> None:
    parser = results.parser("soak", __doc__)
    parser.add_argument(
        "boundaries", type=int, nargs="?", help=f"instead of {FULL:,}, which are 24 hours"
    )
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.boundaries or (QUICK if arguments.quick else FULL))))
