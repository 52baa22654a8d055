"""The cycle profile: which types make up cyclic garbage, and through which attributes it runs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from concurrent_collections import concurrent_only
from hypothesis import given
from hypothesis import strategies as st

import gcctl
from gcctl._concurrent.cycle_profile import MOST_NAMES, OTHER, Cycles, cyclic, type_name


class Order:
    def __init__(self) -> None:
        self.lines = [Line(self)]


class Line:
    __slots__ = ("__weakref__", "order")

    def __init__(self, order: Order) -> None:
        self.order = order


class Shy(type):
    """Whose classes will not tell their names."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


def shy() -> object:
    class Hidden(metaclass=Shy):
        pass

    hidden = object.__new__(Hidden)
    object.__setattr__(hidden, "me", hidden)
    return hidden


def of_a_type_without_module() -> object:
    names: dict[str, Any] = {"__name__": 1}
    exec("Nowhere = type('Nowhere', (), {})", {}, names)
    thing = names["Nowhere"]()
    thing.me = thing
    return thing


def closure() -> object:
    def recursive() -> object:
        return recursive

    return recursive


def self_containing() -> object:
    record: dict[str, object] = {}
    record["self"] = record
    return record


def in_a_list() -> object:
    found: list[object] = []
    found.append((found,))
    return found


def profile_of(make: Callable[[], object]) -> gcctl.CycleProfile:
    """Of the garbage that the things made make."""
    made = [make() for _ in range(100)]
    gc.collect()
    del made
    gcctl.collect_concurrently().finish()
    return gcctl.cycle_profile()


@pytest.fixture(autouse=True)
def fresh(no_collection_by_itself: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A profile of this test alone, without what is left of others."""
    monkeypatch.setattr("gcctl._concurrent.feasibility.Feasibility.why_not", lambda *expected: "")
    gc.collect()
    monkeypatch.setattr("gcctl._concurrent.coordinator.coordinator._cycles", Cycles())
    yield
    gcctl.collect_concurrently().finish()


HERE = __name__


@concurrent_only
@pytest.mark.parametrize(
    ("make", "types", "paths"),
    [
        (
            Order,
            {f"{HERE}.Order", f"{HERE}.Line", "list"},
            {
                (f"{HERE}.Order", ".lines", "list"),
                ("list", "[]", f"{HERE}.Line"),
                (f"{HERE}.Line", ".order", f"{HERE}.Order"),
            },
        ),
        (of_a_type_without_module, {"Nowhere"}, {("Nowhere", ".me", "Nowhere")}),
        (closure, {"function", "tuple", "cell"}, {("function", ".__closure__", "tuple")}),
        (self_containing, {"dict"}, {("dict", "['self']", "dict")}),
        (in_a_list, {"list", "tuple"}, {("list", "[]", "tuple"), ("tuple", "[]", "list")}),
        (
            shy,
            {f"{HERE}.shy.<locals>.Hidden"},
            {(f"{HERE}.shy.<locals>.Hidden", ".me", f"{HERE}.shy.<locals>.Hidden")},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_of(make: Callable[[], object], types: set[str], paths: set[tuple[str, str, str]]) -> None:
    profile = profile_of(make)
    assert profile.collections == 1
    assert profile.objects >= 100
    counts = {each.name: each.objects for each in profile.types}
    assert types <= {name for name, objects in counts.items() if objects >= 100}
    assert paths <= {(path.type, path.attribute, path.referent) for path in profile.paths}
    assert abs(sum(each.share for each in profile.types) - 1) < 1e-9


@concurrent_only
def test_what_only_hangs_on_a_cycle_is_no_part_of_it() -> None:
    def make() -> object:
        order = Order()
        order.lines[0].order.notes = [[]]  # type: ignore[attr-defined]
        return order

    attributes = {path.attribute for path in profile_of(make).paths}
    assert ".lines" in attributes
    assert ".notes" not in attributes


@concurrent_only
def test_as_text_it_is_a_table() -> None:
    text = str(profile_of(Order))
    assert "in 1 concurrent collections" in text
    assert f"{HERE}.Line.order → {HERE}.Order" in text


def test_without_collections_it_is_empty() -> None:
    profile = gcctl.cycle_profile()
    assert profile == gcctl.CycleProfile()
    assert str(profile) == "no cyclic garbage in 0 concurrent collections"


def test_it_does_not_grow_with_the_number_of_types() -> None:
    cycles = Cycles()
    for number in range(3 * MOST_NAMES):
        cycles.add([(f"type {number}", 2)], 1, [(0, ".me", 0, 0, 0)])
    profile = cycles.profile()
    assert profile.objects == 9 * MOST_NAMES
    assert len(profile.types) <= MOST_NAMES + 1
    assert profile.types[0].name == OTHER


def test_names_of_types() -> None:
    assert type_name(int) == "int"
    assert type_name(Order) == f"{HERE}.Order"


edges = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


@given(edges)
def test_steps_of_cycles_are_those_from_whose_end_the_beginning_is_reached(
    pairs: list[tuple[int, int]],
) -> None:
    reached = {start: {start} for start in range(13)}
    for _ in range(13):
        for start, end in pairs:
            for known in reached.values():
                if start in known:
                    known.add(end)
    steps = [(start, ".x", end, 0, 0) for start, end in dict.fromkeys(pairs)]
    assert cyclic(steps) == [step for step in steps if step[0] in reached[step[2]]]
