"""Calls one public door of gcctl many times and prints by how many blocks memory grew per call.

A fresh process of its own, so that nothing else allocates. Arguments: the name in ACTIONS.
"""

from __future__ import annotations

import _thread
import gc
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from windows import answer

import gcctl
from gcctl._process.twins import core


def fail() -> None:
    with suppress(ValueError), gcctl.request():
        raise ValueError


def install_and_uninstall() -> None:
    gcctl.uninstall()
    with gcctl.install("production"):
        gcctl.tick()
    gcctl.install("production", gen2_every=None)


def share() -> None:
    gcctl.uninstall()
    gcctl.share_with_children()


def refused() -> None:
    for arguments in ({}, {"gen0_evry": 1}, {"max_pause": "soon"}):
        with suppress(gcctl.GcctlError):
            gcctl.install(**arguments)


async def task() -> None:
    async with gcctl.request():
        pass


def run_task() -> None:
    with suppress(StopIteration):  # without an event loop, which keeps memory of its own
        task().send(None)


def request() -> None:
    with gcctl.request():
        pass


def entry() -> None:
    core.begin().leave()
    core.begin().fail(ValueError())  # and dropped


def batch() -> None:
    with gcctl.batch():
        pass


def hold() -> None:
    with gcctl.hold():
        pass


def batched() -> None:
    for _ in gcctl.batched_gc(range(3), every=2):
        pass


def over_the_limit() -> None:
    gcctl.uninstall()
    with gcctl.install("off", memory_limit=1, pressure_budget=1.0):
        gcctl.check_memory()


def dropped_concurrently() -> None:
    gcctl.uninstall()
    handle = gcctl.collect_concurrently()
    del handle  # nobody will finish it


NOISE = 30
"""Blocks by which caches and free lists of the interpreter differ from round to round. A leak of
one block per call is several times that in every action."""

ACTIONS: dict[str, tuple[Callable[[], object], int]] = {
    "request": (request, 20_000),
    "request decorator": (gcctl.request(lambda: None), 20_000),
    "request made": (lambda: gcctl.request(lambda: None), 10_000),
    "failing request": (fail, 20_000),
    "async request": (run_task, 20_000),
    "run_request": (lambda: gcctl.run_request(len, ""), 20_000),
    "request in two places": (entry, 20_000),
    "tick": (gcctl.tick, 20_000),
    "stats": (gcctl.stats, 1_000),
    "report": (gcctl.report, 300),
    "report as JSON": (lambda: gcctl.report("json"), 300),
    "check_memory": (gcctl.check_memory, 20_000),
    "check_memory over the limit": (over_the_limit, 200),
    # (Without answer(), which hurries it, the child waits until the machine has nothing to do.)
    "collect_concurrently": (lambda: answer(gcctl.collect_concurrently()).finish(), 200),
    "collect_concurrently and dropped": (dropped_concurrently, 200),
    "cycle_profile": (gcctl.cycle_profile, 10_000),
    "share_with_children": (share, 100),
    "should_recycle": (gcctl.should_recycle, 20_000),
    "batch": (batch, 200),
    "batched_gc": (batched, 200),
    "hold": (hold, 2000),
    "install": (install_and_uninstall, 100),
    "install refused": (refused, 200),
    "uninstall": (gcctl.uninstall, 10_000),
    "Config": (lambda: gcctl.Config(max_pause="5ms").replace(gen0_every=3), 1_000),
}


def blocks() -> int:
    """In use, when all is done and nothing is left to be collected."""
    while _thread._count():  # threads that watch memory end by themselves
        time.sleep(0.001)
    gc.collect()
    return sys.getallocatedblocks()


def main(name: str) -> None:
    logging.getLogger("gcctl").addHandler(logging.NullHandler())
    action, times = ACTIONS[name]
    gc.collect()
    gc.freeze()  # short collections
    gcctl.install("production", gen1_every=1_000, gen2_every=10_000, max_pause="1h")
    growth = []
    for _ in range(5):  # the first rounds fill caches and free lists
        before = blocks()
        for _ in range(times):
            action()
        growth.append(blocks() - before)
    print(max(min(growth) - NOISE, 0) / times)


if __name__ == "__main__":
    main(sys.argv[1])
