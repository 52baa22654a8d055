"""What gcctl has frozen is its own: others' objects stay frozen, gcctl's are given back exactly."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from frozen_count import AT_THE_START, frozen_objects
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from processes import run_program

import gcctl
from gcctl._interpreter import mechanisms

compiled: Any = mechanisms.compiled

pytestmark = pytest.mark.skipif(bool(mechanisms.missing("tenure")), reason="nothing is frozen here")


class Node:
    """Something that only a collection frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    gcctl.uninstall()
    gc.unfreeze()


def seen_markers() -> list[type]:
    kinds = {type(each) for each in gc.get_objects()}
    ours = compiled.__name__
    return [kind for kind in kinds if (kind.__module__, kind.__name__) == (ours, "Marker")]


FREE, THEIRS = "free", "theirs"


class Freezing(RuleBasedStateMachine):
    """Two parts of gcctl's, and somebody else. The model: who has frozen which garbage."""

    nodes: Bundle[Any] = Bundle("nodes")

    @initialize()
    def begin(self) -> None:
        gc.disable()
        gc.collect()
        compiled.examine_layout()
        self.parts = [compiled.Frozen(), compiled.Frozen()]
        self.state: dict[weakref.ref[Node], object] = {}
        self.standing_in = False
        self.exchange(on=True)

    def teardown(self) -> None:
        compiled.stand_down()
        gc.unfreeze()
        gc.enable()

    def exchange(self, *, on: bool) -> None:
        if on:
            compiled.stand_in(lambda generation: None, lambda begun: None, lambda on: None)
        else:
            compiled.stand_down()
        self.standing_in = on

    def move(self, old: set[object], new: object) -> None:
        for ref, state in self.state.items():
            if state in old:
                self.state[ref] = new

    @rule(number=st.integers(1, 5))
    def make_garbage(self, number: int) -> None:
        for _ in range(number):
            self.state[weakref.ref(Node())] = FREE

    @rule(part=st.sampled_from([0, 1]))
    def keep(self, part: int) -> None:
        assert self.parts[part].keep()
        self.move({FREE}, part)

    @rule(part=st.sampled_from([0, 1]))
    def give_back(self, part: int) -> None:
        there = self.parts[part].there
        assert self.parts[part].give_back() == there
        self.move({part}, FREE)

    @rule()
    def freeze(self) -> None:
        gc.freeze()
        self.move({FREE, 0, 1}, THEIRS)

    @rule()
    def thaw(self) -> None:
        gc.unfreeze()
        self.move({THEIRS, 0, 1}, FREE)

    @rule(generation=st.sampled_from([0, 1, 2]))
    def collect(self, generation: int) -> None:
        gc.collect(generation)
        if generation == 2:
            gone = [ref for ref, state in self.state.items() if state == FREE]
            assert [ref() for ref in gone] == [None] * len(gone)
        self.state = {ref: state for ref, state in self.state.items() if ref() is not None}

    @invariant()
    def nothing_else_is_collected(self) -> None:
        for ref, state in getattr(self, "state", {}).items():
            assert state == FREE or ref() is not None, state

    @rule()
    def ask_for_objects(self) -> None:
        """They are seen unless somebody else has frozen them."""
        seen = sum(type(each) is Node for each in gc.get_objects())
        alive = [state for ref, state in self.state.items() if ref() is not None]
        assert seen == len(alive) - alive.count(THEIRS)
        assert not seen_markers()

    @rule()
    def count_frozen(self) -> None:
        before = frozen_objects()
        assert gc.get_freeze_count() - AT_THE_START <= before
        assert frozen_objects() == before


Freezing.TestCase.settings = settings(max_examples=20, stateful_step_count=25)
TestFreezing = Freezing.TestCase


def test_without_stand_ins_the_lists_tell_what_others_have_done() -> None:
    part = compiled.Frozen()
    assert compiled.examine_layout() == ""
    part.keep()
    assert part.there
    kept = [Node()]
    gc.freeze()
    assert not part.there
    assert not part.give_back()
    assert part.keep()
    gc.unfreeze()
    assert not part.there
    assert kept


def test_what_comes_first_is_done_in_one_step_with_the_freeze() -> None:
    part = compiled.Frozen()
    dead = weakref.ref(Node())
    part.keep(gc.collect)
    assert dead() is None
    part.give_back()


def test_markers_are_not_seen_where_they_mark_nothing() -> None:
    part = compiled.Frozen()
    part.keep()
    part.give_back()
    assert not seen_markers()


def test_frozen_objects_may_die(tmp_path: Path) -> None:
    program = """
import gc
from gcctl._interpreter import compiled
compiled.examine_layout()
part = compiled.Frozen()
heap = [[number] for number in range(1000)]
part.keep()
del heap  # the objects at both ends of the part too
for name in list(globals()):
    if name not in ("gc", "part", "__builtins__"):
        del globals()[name]
print(part.give_back(), gc.collect() >= 0, gc.get_freeze_count() < 1000)
"""
    assert run_program(program, tmp_path) == "True True True\n"


def test_each_installation_examines_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "examine_layout", lambda: "the lists are elsewhere")
    gcctl.install()
    before = frozen_objects()
    for _ in range(20):
        with gcctl.request():
            pass
    stats = gcctl.stats()
    assert stats.auto is not None
    assert stats.auto.tenured == 0
    assert frozen_objects() <= before


def test_what_gcctl_itself_consists_of_is_no_work_for_explicit_collections(tmp_path: Path) -> None:
    program = """
import gc
gc.collect()
before = len(gc.get_objects())
import gcctl
gcctl.install("off")
seen = len(gc.get_objects()) - before
print(seen < 1500, gc.get_freeze_count() < 1000)
gcctl.uninstall()
print(len(gc.get_objects()) - before > 4000, gc.get_freeze_count() < 1000)
"""
    assert run_program(program, tmp_path) == "True True\nTrue True\n"
