"""The cycle profile: the types of cyclic garbage, and the attributes through which cycles run."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, NamedTuple

from gcctl._base.public import public

MOST_NAMES = 500
"""So many types are told apart. Further types count as `OTHER`."""

OTHER = "other types"

OWN_DICT = ".__dict__"
"""The attribute by which an instance refers to its dictionary."""

SAMPLES = 8
"""References are kept of so many of the last collections: some 4,000 of each."""

SHOWN = 10
"""Rows of each table in the text."""


@public
class CycleType(NamedTuple):
    """Unreachable objects of one type."""

    name: str
    """With its module, except for builtins."""
    objects: int
    share: float
    """The part of all unreachable objects."""


@public
class CyclePath(NamedTuple):
    """A step of a cycle: from an object to another object that it refers to."""

    type: str
    attribute: str
    """".name"; "['key']" of a dict; "[]" of a list or tuple; "" if it has no name."""
    referent: str
    """The type that the step leads to."""
    times: int
    """How often the step was seen in a sample."""

    def __str__(self) -> str:
        return f"{self.type}{self.attribute} → {self.referent}"


@public
class CycleProfile(NamedTuple):
    """Who creates cyclic garbage. As text, a table for people."""

    collections: int = 0
    """The number of concurrent collections that the profile adds up."""
    objects: int = 0
    """Unreachable objects they have found."""
    types: tuple[CycleType, ...] = ()
    """Most objects first."""
    paths: tuple[CyclePath, ...] = ()
    """Most frequent first."""

    def __str__(self) -> str:
        if not self.objects:
            return f"no cyclic garbage in {self.collections:,} concurrent collections"
        lines = [
            f"cyclic garbage: {self.objects:,} objects "
            f"in {self.collections:,} concurrent collections"
        ]
        lines += [f"{t.objects:>12,}  {t.share:>6.1%}  {t.name}" for t in self.types[:SHOWN]]
        if self.paths:
            lines += ["where its cycles run, in a sample"]
            lines += [f"{path.times:>12,}  {path}" for path in self.paths[:SHOWN]]
        return "\n".join(lines)


Step = tuple[int, str, int, int, int]
"""A reference: an object, its attribute, the object that this refers to, and the types of both.
Objects and types are numbers."""


class Cycles:
    """Adds up what concurrent collections found, in memory that does not grow."""

    def __init__(self) -> None:
        self._collections = 0
        self._types: Counter[str] = Counter()
        self._samples: deque[tuple[list[str], list[Step]]] = deque(maxlen=SAMPLES)

    def add(self, types: list[tuple[str, int]], others: int, steps: list[Step]) -> None:
        """Add one collection. `types`: types and their numbers of objects. `others`: the number of
        objects of further types. `steps`: references in a sample of the objects."""
        self._collections += 1
        for name, objects in types:
            known = name in self._types or len(self._types) < MOST_NAMES
            self._types[name if known else OTHER] += objects
        if others:
            self._types[OTHER] += others
        if steps:
            self._samples.append(([name for name, _ in types], steps))

    def profile(self) -> CycleProfile:
        types, total = self._types.copy(), self._types.total()
        paths: Counter[tuple[str, str, str]] = Counter()
        for names, steps in self._samples.copy():
            for _, attribute, _, start, end in cyclic(steps):
                paths[names[start], attribute, names[end]] += 1
        return CycleProfile(
            self._collections,
            total,
            tuple(CycleType(name, n, n / total) for name, n in types.most_common()),
            tuple(CyclePath(*path, count) for path, count in paths.most_common(MOST_NAMES)),
        )


def cyclic(steps: list[Step]) -> list[Step]:
    """The steps that are part of a cycle. The dictionary of an instance counts as the instance."""
    dictionaries = {end for _, attribute, end, *_ in steps if attribute == OWN_DICT}
    steps = [s for s in dict.fromkeys(steps) if s[0] not in dictionaries and s[1] != OWN_DICT]
    groups = _strongly_connected([(start, end) for start, _, end, *_ in steps])
    return [step for step in steps if groups[step[0]] == groups[step[2]]]


def type_name(cls: type) -> str:
    """Module and qualified name. No code of the class or its metaclass runs for that."""
    name, module = _static(cls, "__qualname__"), _static(cls, "__module__")
    if not isinstance(module, str) or module == "builtins":
        return str(name)
    return f"{module}.{name}"


def _static(cls: type, name: str) -> Any:
    try:
        return type.__dict__[name].__get__(cls)
    except AttributeError:  # made by type() where there was no module
        return None


def _strongly_connected(edges: list[tuple[int, int]]) -> dict[int, int]:
    """For each node, one node of its strongly connected component. All nodes of a component have
    the same one. A node that is on no cycle has itself."""
    forward: dict[int, list[int]] = {}
    backward: dict[int, list[int]] = {}
    for start, end in edges:
        forward.setdefault(start, []).append(end)
        backward.setdefault(end, []).append(start)
    groups: dict[int, int] = {}
    for root in reversed(_in_order_of_leaving(forward)):
        pending = [root]
        while pending:
            node = pending.pop()
            if node not in groups:
                groups[node] = root
                pending += backward.get(node, ())
    return groups


def _in_order_of_leaving(forward: dict[int, list[int]]) -> list[int]:
    """The nodes in the order in which a depth-first search leaves them."""
    left: list[int] = []
    seen: set[int] = set()
    for root in forward:
        path = [(root, iter(forward[root]))] if root not in seen else []
        seen.add(root)
        while path:
            node, successors = path[-1]
            following = next((end for end in successors if end not in seen), None)
            if following is None:
                left.append(node)
                path.pop()
            else:
                seen.add(following)
                path.append((following, iter(forward.get(following, ()))))
    return left
