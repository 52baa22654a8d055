"""The work of the scenario "batch": one large structure, built in one go.

    python -m gcctl.cli._demo.processes.batch '{"objects": 5000000, "gcctl": true}'

It says "measured".
"""

from __future__ import annotations

import gc
import json
import logging
import platform
import sys
from typing import Any

import gcctl
from gcctl._process import twins
from gcctl.cli._demo.processes import pipes
from gcctl.cli._demo.processes.meter import Meter, rss_bytes

OBJECTS_PER_ORDER = 4
CUSTOMERS = 1_000

Order = dict[str, Any]


def build(objects: int) -> tuple[list[Order], dict[str, list[Order]]]:
    """Orders, each a dict with three lists in it, of `objects` objects together; and an index by
    customer.

    The lists of the index, at most 1,000, are not counted in `objects`.
    """
    orders: list[Order] = []
    index: dict[str, list[Order]] = {}
    for number in range(objects // OBJECTS_PER_ORDER):
        customer = f"customer {number % CUSTOMERS}"
        order: Order = {
            "number": number,
            "customer": customer,
            "items": [f"item {number}", "item 0"],
            "prices": [number, number + 1],
            "events": [],
        }
        orders.append(order)
        index.setdefault(customer, []).append(order)
    return orders, index


def main() -> None:
    plan = json.loads(sys.argv[1])
    pipes.commands()
    logging.getLogger("gcctl").addHandler(logging.NullHandler())  # the figures say it all
    gc.collect()
    if plan["gcctl"]:
        gcctl.install("off")
        with Meter() as meter, gcctl.batch():
            structure = build(plan["objects"])
    else:
        with Meter() as meter:
            structure = build(plan["objects"])
    pipes.say(
        "measured",
        **meter.figures(),
        rss_bytes=rss_bytes(),
        python=platform.python_version(),
        implementation=twins.core.implementation,
    )
    del structure


if __name__ == "__main__":
    main()
