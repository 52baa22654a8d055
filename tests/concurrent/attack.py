"""Concurrent collections under a hostile service.

    python tests/concurrent/attack.py --collections 10000

Threads build, link, drop and resurrect objects of every kind while collections run beside them.
Prints one line of JSON; exits with 1 on any violation. Best run under PYTHONMALLOC=debug.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import gc
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import graphs
import payload
import windows
from kinds_stdlib import DEAR
from payload import Node

import gcctl

TRACKED_PER_NODE = 10
"""About so many objects of the collector's make up one node."""

HANG_SECONDS = 120
CENSUS_EVERY = 1000
SELDOM = 10**6
"""A threshold: no full collections by CPython itself, each of which would void ours."""


class Mutator:
    """Changes a world of its own at random, and trades objects with other mutators."""

    market: list[Node] = []  # noqa: RUF012

    def __init__(self, seed: int, nodes: int) -> None:
        self.random = random.Random(seed)
        self.world = graphs.World()
        self.nodes = nodes
        self.names = list(graphs.CHEAP)
        self.dear = [kind.name for kind in DEAR]
        self.acts: list[tuple[Callable[[], object], int]] = [
            (self.grow, 30),
            (self.link, 20),
            (self.attach, 10),
            (self.unlink, 5),
            (self.resurrect, 20),
            (self.free, 10),
            (self.drop, 20),
            (self.churn, 10),
            (self.verify, 10),
            (self.trade, 5),
            (self.rise, 5),
            (self.young, 1),
        ]
        self.weights = [weight for _, weight in self.acts]
        self.functions = [function for function, _ in self.acts]
        self.verified = 0

    def act(self) -> None:
        self.random.choices(self.functions, self.weights)[0]()
        if len(payload.ALIVE) > self.nodes:
            self.shrink()

    def name(self) -> str:
        return self.random.choice(self.dear if self.random.random() < 0.003 else self.names)

    def number(self) -> int:
        return self.random.randrange(1 << 20)

    def pairs(self, most: int) -> list[tuple[int, int]]:
        return [(self.number(), self.number()) for _ in range(self.random.randint(0, most))]

    def grow(self) -> None:
        size = self.random.choice((1, 1, 2, 3, 5, 8, 12))
        plan = graphs.Plan(
            kinds=[self.name() for _ in range(size)],
            links=self.pairs(2 * size),
            attached=self.pairs(size),
            roots={self.number() for _ in range(self.random.randint(0, 2))},
            borrowed={self.number() for _ in range(self.random.randint(0, 3))},
        )
        self.world.grow(plan, old=self.random.random() < 0.2)
        if len(self.world.borrowed) > self.nodes:
            del self.world.borrowed[: self.nodes // 2]

    def link(self) -> None:
        self.world.link(self.number(), self.number())

    def attach(self) -> None:
        self.world.attach(self.number(), self.number())

    def unlink(self) -> None:
        self.world.unlink(self.number())

    def resurrect(self) -> None:
        self.world.resurrect(self.number())

    def free(self) -> None:
        self.world.free(self.number())

    def drop(self) -> None:
        self.world.drop(self.number())

    def churn(self) -> None:
        """Free and allocate the same kind again and again: the same addresses."""
        name = self.name()
        kept = [graphs.make(name) for _ in range(self.random.randint(1, 10))]
        for _ in range(self.random.randint(1, 10)):
            kept.pop(0)
            kept.append(graphs.make(name))
        self.world.roots += kept[: self.random.randint(0, 2)]

    def verify(self) -> None:
        if self.world.roots:
            root = self.random.choice(self.world.roots)
            self.verified += len(graphs.verify([root], 50))

    def trade(self) -> None:
        if self.world.roots and len(self.market) < 50:
            self.market.append(self.random.choice(self.world.roots))
        with suppress(IndexError):  # another thread took it
            self.world.roots.append(self.market.pop(0))

    def rise(self) -> None:
        """An object that a finalizer brought back lives on for a while, or goes."""
        with suppress(IndexError):
            risen = payload.RISEN.pop()
            found = risen if isinstance(risen, payload.Payload) else risen.payload
            found.check()
            if self.random.random() < 0.5:
                self.world.roots.append(Node(graphs.ITSELF, found, found.serial))

    def young(self) -> None:
        gc.collect(self.random.choice((0, 0, 0, 1)))

    def shrink(self) -> None:
        roots = self.world.roots
        self.random.shuffle(roots)
        for root in roots[::4]:
            with suppress(payload.Busy):
                root.payload().unlink()
        del roots[len(roots) // 2 :]
        del payload.RISEN[100:]


class Attack:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        nodes = options.live // TRACKED_PER_NODE
        self.mutators = [Mutator(options.seed + i, nodes) for i in range(1 + options.threads)]
        self.violations: list[str] = []
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.disturbances: collections.Counter[str] = collections.Counter()
        self.collections = 0
        self.objects = 0
        self.missed = 0
        self.verified = 0
        self.window_acts = 0
        self.stopping = False
        self.resting = threading.Event()
        self.at_rest = threading.Semaphore(0)
        self.wake = threading.Event()
        self.wake.set()
        self.rare: list[tuple[Callable[[], object], float]] = [
            (self.settings, 0.02),
            (self.full_elsewhere, 0.01),
            (self.freeze, 0.01),
            (self.trace, 0.01),
            (self.kill_child, 0.01),
            (self.stop_child, 0.01),
            (self.installation, 0.01),
            (self.short_thread, 0.02),
            (self.start_again, 0.02),
            (self.save_all, 0.002),
            (self.fork, 0.002),
            (self.drop_handle, 0.01),
        ]
        self.handle: Any = None

    # Threads

    def work(self, mutator: Mutator) -> None:
        try:
            while not self.stopping:
                if self.resting.is_set():
                    self.at_rest.release()
                    self.wake.wait()
                mutator.act()
                if mutator.random.random() < 0.3:  # else the others hardly get the GIL
                    time.sleep(mutator.random.random() / 2000)
                if mutator.random.random() < 0.05:
                    gcctl.tick()
        except BaseException:
            self.violation(traceback.format_exc())

    def violation(self, text: str) -> None:
        self.violations.append(text)
        self.stopping = True

    def rest(self) -> None:
        """Nothing changes until `self.wake` is set."""
        self.wake.clear()
        self.resting.set()
        for _ in range(self.options.threads):
            while not self.at_rest.acquire(timeout=1):
                if self.violations:
                    break
        self.resting.clear()

    # What happens now and then in a window

    def settings(self) -> None:
        self.random.choice((gc.enable, gc.disable))()
        often = self.random.choice((0, 10, 100, 700))
        gc.set_threshold(often, 10, self.random.choice((10, *[SELDOM] * 5)))

    def full_elsewhere(self) -> None:
        thread = threading.Thread(target=gc.collect)
        thread.start()
        if self.random.random() < 0.5:
            thread.join()

    def freeze(self) -> None:
        self.random.choice((gc.freeze, gc.unfreeze))()

    def trace(self) -> None:
        tracemalloc.start()
        if self.random.random() < 0.3:
            tracemalloc.stop()

    def kill_child(self) -> None:
        for child in windows.children():
            os.kill(child, self.random.choice((signal.SIGKILL, signal.SIGSEGV)))

    def stop_child(self) -> None:
        for child in windows.children():
            os.kill(child, signal.SIGSTOP)
            threading.Timer(self.random.random() / 50, self.go_on, (child,)).start()

    @staticmethod
    def go_on(child: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)

    def installation(self) -> None:
        gcctl.uninstall()
        if self.random.random() < 0.7:
            gcctl.install("instagram", gen2_every=50, full_collection="concurrent")
        gc.set_threshold(700, 10, SELDOM)

    def short_thread(self) -> None:
        mutator = Mutator(self.random.randrange(1 << 30), self.options.live // TRACKED_PER_NODE)

        def work() -> None:
            try:
                for _ in range(20):
                    mutator.act()
                if self.random.random() < 0.3:
                    gcctl.collect_concurrently()
            except BaseException:
                self.violation(traceback.format_exc())

        threading.Thread(target=work).start()

    def start_again(self) -> None:
        second = gcctl.collect_concurrently()
        if second is not self.handle and self.handle.outcome is None:
            self.violation("a second collection was started beside the first")

    def save_all(self) -> None:
        gc.set_debug(gc.DEBUG_SAVEALL)
        self.mutators[0].young()
        gc.set_debug(0)
        gc.garbage.clear()

    def drop_handle(self) -> None:
        self.handle = gcctl.collect_concurrently()

    def fork(self) -> None:
        """The world of the forked process is whole, and it can collect as well."""
        child = os.fork()
        if not child:
            status = 1
            try:
                signal.alarm(60)
                world = self.mutators[0].world
                world.verify()
                windows.answer(gcctl.collect_concurrently()).finish()
                world.verify()
                world.roots.clear()
                windows.answer(gcctl.collect_concurrently()).finish()
                status = int(bool(payload.PROBLEMS))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        status = os.waitpid(child, 0)[1]
        if status:
            self.violation(f"a forked process ended with {status}")

    # Collections

    def collect(self) -> None:
        mutator = self.mutators[0]
        self.handle = handle = gcctl.collect_concurrently()
        for act, chance in self.rare:
            if self.random.random() < chance:
                self.disturbances[act.__name__] += 1
                act()
        if self.random.random() < 0.3:
            tracemalloc.stop()  # if it runs; with it everything takes longer
        patience = self.random.choice((0, 3, 2000))
        while patience and handle.outcome is None and not handle.ready:
            if patience % 8 == 0:
                windows.hurry()
            mutator.act()
            self.window_acts += 1
            patience -= 1
        if self.random.random() < 0.5:
            for _ in range(50):
                windows.hurry()
                if handle.outcome is not None:
                    break
                gcctl.tick()
                mutator.act()
        handle.finish()
        self.count(handle)

    def count(self, handle: Any) -> None:
        self.collections += 1
        self.outcomes[handle.outcome] += 1
        self.objects += handle.measured.objects_collected

    def census(self) -> None:
        """After two quiet collections, gc.collect() finds nothing that they have left."""
        self.rest()
        gcctl.uninstall()
        tracemalloc.stop()
        gc.disable()
        for _ in range(3):
            payload.RISEN.clear()
            handle = windows.answer(gcctl.collect_concurrently())
            handle.finish()
            self.count(handle)
            if handle.outcome != "collected":
                self.violation(f"nobody disturbed it, and yet: {handle.outcome}")
        seen = graphs.verify(Mutator.market)
        for mutator in self.mutators:
            seen |= mutator.world.verify()
        self.verified += len(seen)
        payload.FINALIZED.intersection_update(seen)
        payload.RISEN.clear()
        before = dict(payload.ALIVE)
        gc.unfreeze()  # a child goes through them, too
        gc.collect()
        missed = [kind for serial, kind in before.items() if serial not in payload.ALIVE]
        if missed:
            self.missed += len(missed)
            self.violation(f"missed: {missed}")
        self.wake.set()

    def run(self) -> None:
        threads = [threading.Thread(target=self.work, args=(m,)) for m in self.mutators[1:]]
        for thread in threads:
            thread.start()
        until = time.monotonic() + self.options.seconds
        try:
            while (
                not self.stopping
                and self.collections < self.options.collections
                and time.monotonic() < until
            ):
                if self.collections % 100 == 0:
                    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
                self.collect()
                if self.collections % CENSUS_EVERY == 0:
                    self.census()
                if payload.PROBLEMS:
                    self.violation("; ".join(payload.PROBLEMS[:5]))
            self.census()
        except BaseException:
            self.violation(traceback.format_exc())
        self.stopping = True
        self.wake.set()
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()
        if payload.ran_in_a_child():
            self.violation("a finalizer ran in the child")

    def report(self, seconds: float) -> dict[str, Any]:
        return {
            "python": sys.version.split()[0],
            "seed": self.options.seed,
            "collections": self.collections,
            "seconds": round(seconds, 1),
            "outcomes": dict(self.outcomes),
            "objects_collected": self.objects,
            "verified": self.verified + sum(mutator.verified for mutator in self.mutators),
            "window_acts": self.window_acts,
            "disturbances": dict(self.disturbances),
            "missed": self.missed,
            "violations": self.violations,
        }


def unraisable(error: Any) -> None:
    # A coroutine freed inside a namedtuple's __new__, which has no builtins, cannot be warned of.
    if str(error.exc_value) != "'__import__'":
        lines = traceback.format_exception(error.exc_type, error.exc_value, error.exc_traceback)
        payload.PROBLEMS.append(f"{error.err_msg} {error.object!r}: {''.join(lines)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", type=int, default=3_000, help="tracked objects, about")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.getLogger("gcctl").addHandler(logging.NullHandler())
    logging.getLogger("gcctl").propagate = False
    sys.unraisablehook = unraisable
    sys.setswitchinterval(1e-4)
    windows.always_feasible()
    gc.set_threshold(700, 10, SELDOM)
    gc.collect()
    before = windows.allocator(), windows.descriptors()
    attack = Attack(options)
    started = time.monotonic()
    attack.run()
    seconds = time.monotonic() - started
    for mutator in attack.mutators:
        mutator.world.__init__()  # type: ignore[misc]
    Mutator.market.clear()
    gc.unfreeze()
    for _ in range(3):
        payload.RISEN.clear()
        gc.collect()
    after = windows.allocator(), windows.descriptors()
    if after != before:
        attack.violation(f"the allocator and descriptors were {before} and are {after}")
    if windows.unreaped():
        attack.violation(f"children left: {windows.children()}")
    if payload.ALIVE and not attack.violations:
        attack.violation(f"never freed: {collections.Counter(payload.ALIVE.values())}")
    if payload.PROBLEMS:
        attack.violation("; ".join(payload.PROBLEMS[:5]))
    print(json.dumps(attack.report(seconds)))
    return int(bool(attack.violations))


if __name__ == "__main__":
    sys.exit(main())
