"""Attacks the steps of concurrent collections alone, as fast as they go, in a bare interpreter.

    PYTHONMALLOC=debug python -I -S tests/concurrent/attack_window.py EXTENSION COLLECTIONS SEED

EXTENSION is the path of the compiled module.

`attack.py` attacks all of gcctl, with every kind of object. This one loads the extension without
its package, so that a process has few objects and a collection takes a few milliseconds: for
hundreds of thousands of them. It prints one line of JSON, and exits with 1 if anything was wrong.
"""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import json
import random
import sys
import time
import weakref
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any, ClassVar

NODES = 300


class Node:
    """Has a neighbour and knows what it should read there."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.canary = [number, str(number)]
        self.me = self

    def check(self) -> None:
        assert self.canary == [self.number, str(self.number)], self.number
        assert self.me is self


class Slotted:
    __slots__ = ("__weakref__", "node", "number", "peer")

    def __init__(self, number: int) -> None:
        self.number = number
        self.node = Node(number)
        self.peer = self

    def check(self) -> None:
        assert self.node.number == self.number
        self.node.check()


class Rising:
    """Comes back to life when it is collected, once."""

    risen: ClassVar[list[Rising]] = []
    finalized = 0

    def __init__(self, number: int) -> None:
        self.node = Node(number)
        self.me = self

    def check(self) -> None:
        self.node.check()

    def __del__(self) -> None:
        Rising.finalized += 1
        if len(Rising.risen) < 50:
            Rising.risen.append(self)


def generator(number: int) -> Generator[Any, Any, None]:
    node = Node(number)
    me = yield node
    while True:
        node.check()
        yield me


class Suspended:
    def __init__(self, number: int) -> None:
        self.generator = generator(number)
        self.node = next(self.generator)
        self.generator.send(self)

    def check(self) -> None:
        assert next(self.generator) is self
        self.node.check()


def closure(number: int) -> Any:
    node = Node(number)

    def check() -> object:
        node.check()
        return check

    check.check = check  # type: ignore[attr-defined]
    return check


KINDS: tuple[Callable[[int], Any], ...] = (Node, Slotted, Rising, Suspended, closure)


def make(number: int) -> tuple[Any, Any]:
    thing = KINDS[number % len(KINDS)](number)
    holders: list[Any] = [thing, {"thing": thing}, (thing,)]
    return holders[number % 3], thing


class Heap:
    """Live things, dead ones, and some that only weak references still lead to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.live: dict[int, tuple[Any, Any]] = {}
        self.weak: list[weakref.ref[Any]] = []
        self.number = 0
        for _ in range(NODES):
            self.add()

    def add(self) -> None:
        self.number += 1
        holder, thing = make(self.number)
        self.live[self.number % NODES] = holder, thing
        if self.random.random() < 0.3:
            self.weak.append(weakref.ref(thing))

    def act(self) -> None:
        """One of the things that happen while a child searches."""
        chance = self.random.random()
        if chance < 0.5:
            self.add()  # and drops the one that was there
        elif chance < 0.7 and self.weak:
            thing = self.weak[self.random.randrange(len(self.weak))]()
            if thing is not None:  # perhaps unreachable for the child: it lives again
                thing.check()
                self.live[self.random.randrange(NODES)] = [thing], thing
        elif chance < 0.8:
            [[] for _ in range(self.random.randrange(200))]
        elif chance < 0.85:
            gc.collect(self.random.randrange(2))
        elif chance < 0.9:
            Rising.risen.clear()
        else:
            self.live[self.random.randrange(NODES)][1].check()
        if len(self.weak) > 200:
            del self.weak[:100]

    def check(self) -> None:
        for _, thing in list(self.live.values()):
            thing.check()
        for thing in list(Rising.risen):
            thing.check()


def load(path: str) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader("_concurrent", path)
    spec = importlib.util.spec_from_loader("_concurrent", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def attack(module: ModuleType, heap: Heap, collections: int) -> dict[str, int]:
    outcomes = {"collected": 0, "void": 0, "objects": 0, "dropped": 0}
    for number in range(collections):
        window = module.Window()
        window.open(100_000, 1 << 28, 60)
        for _ in range(heap.random.randrange(30)):
            heap.act()
        while not window.state() and not (window.reaped() and not window.state()):
            heap.act()
            time.sleep(0.0002)
        while window.left() and not window.spoiled():
            window.slice(heap.random.choice((1, 50, 5000)))
            for _ in range(heap.random.randrange(4)):
                heap.act()
        outcomes["collected" if window.state() == 1 and not window.spoiled() else "void"] += 1
        outcomes["objects"] += window.collected()
        outcomes["dropped"] += window.seen()[1]
        window.close()
        if number % 20 == 0:
            heap.check()
        if number % 500 == 0:
            gc.collect()
    heap.check()
    return outcomes


def main(path: str, collections: int, seed: int) -> int:
    module = load(path)
    heap = Heap(seed)
    began = time.monotonic()
    outcomes = attack(module, heap, collections)
    seconds = time.monotonic() - began
    version = sys.version.split()[0]
    print(json.dumps({"python": version, "seed": seed, "seconds": round(seconds), **outcomes}))
    return int(outcomes["void"] > collections / 10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
