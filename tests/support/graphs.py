"""Worlds of objects of every kind, linked at random.

A world keeps some of its objects alive by roots, knows others by weak references only, and can be
asked at any time whether everything that the roots lead to is still whole.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterable
from typing import NamedTuple

from kinds_containers import CONTAINERS, FUNCTIONS, ITERATORS
from kinds_stdlib import C_TYPES, DEAR, EXCEPTIONS, FINALIZERS
from kinds_suspended import SUSPENDED
from payload import LINKS, Busy, Kind, Node, Payload, came_back

CHEAP = {
    kind.name: kind
    for kind in (
        *CONTAINERS,
        *FUNCTIONS,
        *ITERATORS,
        *SUSPENDED,
        *EXCEPTIONS,
        *C_TYPES,
        *FINALIZERS,
    )
}
KINDS = CHEAP | {kind.name: kind for kind in DEAR}
ITSELF = Kind("payload", Payload.itself, Payload.itself)
"""Leads to a payload directly: what comes back from a weak reference."""


def make(name: str) -> Node:
    kind = KINDS[name]
    payload = Payload(name)
    return Node(kind, kind.make(payload), payload.serial)


def link(source: Node, target: Node) -> None:
    source.payload().link(target)


def attach(source: Node, target: Node) -> None:
    """Link the objects themselves where the first can take it, without anything in between."""
    if source.kind.attach:
        LINKS[source.serial].add(target.serial)
        source.kind.attach(source.thing, target.thing)
    else:
        link(source, target)


def verify(nodes: Iterable[Node], most: int = 1_000_000) -> set[int]:
    """Look at everything that these lead to, up to a number. Returns the serial numbers."""
    seen: set[int] = set()
    queue = list(nodes)
    while queue and len(seen) < most:
        node = queue.pop()
        if node.serial in seen:
            continue
        seen.add(node.serial)
        try:
            payload = node.payload()
        except Busy:
            continue
        queue += payload.links[1:]
    return seen


class Plan(NamedTuple):
    """A graph: objects by kind, links as pairs of their numbers, what is known by whom."""

    kinds: list[str]
    links: list[tuple[int, int]]
    attached: list[tuple[int, int]]
    roots: set[int]
    borrowed: set[int]


class World:
    def __init__(self) -> None:
        self.roots: list[Node] = []
        self.borrowed: list[weakref.ref[Payload]] = []

    def grow(self, plan: Plan, *, old: bool = True) -> None:
        """Old: what of it is garbage already only a full collection finds."""
        nodes = [make(name) for name in plan.kinds]
        for first, second in plan.links:
            link(nodes[first % len(nodes)], nodes[second % len(nodes)])
        for first, second in plan.attached:
            attach(nodes[first % len(nodes)], nodes[second % len(nodes)])
        self.borrowed += [weakref.ref(nodes[i % len(nodes)].payload()) for i in plan.borrowed]
        self.roots += [nodes[i % len(nodes)] for i in plan.roots]
        if old:
            gc.collect(1)

    def resurrect(self, number: int) -> Node | None:
        """Through a weak reference: what is dead for the collector is a root again."""
        if not self.borrowed:
            return None
        payload = self.borrowed[number % len(self.borrowed)]()
        if payload is None:
            return None
        node = Node(ITSELF, payload, payload.serial)
        if sys.version_info >= (3, 14):
            # Weak references are cleared when the finalizers have run, and what those bring back
            # keeps its own: it may have been closed, and nobody knows when.
            came_back(payload.serial)
        self.roots.append(node)
        return node

    def free(self, number: int) -> None:
        """Break the cycles of what a weak reference leads to: it is freed at once."""
        node = self.resurrect(number)
        if node:
            node.payload().unlink()
            self.roots.remove(node)

    def drop(self, number: int) -> None:
        if self.roots:
            self.roots.pop(number % len(self.roots))

    def link(self, first: int, second: int) -> None:
        if self.roots:
            link(self.roots[first % len(self.roots)], self.roots[second % len(self.roots)])

    def attach(self, first: int, second: int) -> None:
        if self.roots:
            attach(self.roots[first % len(self.roots)], self.roots[second % len(self.roots)])

    def unlink(self, number: int) -> None:
        if self.roots:
            self.roots[number % len(self.roots)].payload().unlink()

    def verify(self, most: int = 1_000_000) -> set[int]:
        return verify(self.roots, most)
