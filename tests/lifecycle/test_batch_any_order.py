"""Batches, controllers and others who switch automatic GC, in any order."""

from __future__ import annotations

import gc

import pytest
from collecting import requested
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import gcctl

AUTOMATIC = [None, False, True]


class Entry:
    def __init__(self, under_controller: bool) -> None:
        self.under_controller = under_controller
        self.running = True


class Machine(RuleBasedStateMachine):
    """Batches, controllers and others who switch automatic GC, in any order."""

    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # short collections
        gc.enable()
        self.on = True
        self.in_the_end = True  # what it will be when no batch runs any more
        self.entries: dict[int, list[Entry]] = {number: [] for number in range(3)}
        self.batches = {number: gcctl.batch() for number in self.entries}
        self.installed = False
        self.requested = 0

    @property
    def running(self) -> list[Entry]:
        return [entry for stack in self.entries.values() for entry in stack if entry.running]

    @property
    def meant(self) -> bool:
        return self.on or (bool(self.running) and self.in_the_end)

    def switch(self, on: bool) -> None:
        self.in_the_end = on
        self.on = on and (self.on or not self.running)

    def end(self, entry: Entry) -> None:
        entry.running = False
        if not self.running and self.in_the_end:
            self.on = True

    @rule(number=st.integers(0, 2))
    def enter(self, number: int) -> None:
        self.batches[number].__enter__()
        self.in_the_end = self.meant
        self.on = False
        self.entries[number].append(Entry(self.installed))

    @rule(number=st.integers(0, 2), failing=st.booleans())
    def leave(self, number: int, failing: bool) -> None:
        error = ValueError() if failing else None
        assert self.batches[number].__exit__(type(error), error, None) is None  # type: ignore[func-returns-value, arg-type]
        stack = self.entries[number]
        if stack:
            entry = stack.pop()
            if entry.running:
                last = not self.running
                if last:
                    self.requested += 1
                if last and self.in_the_end:
                    self.on = True

    @rule(number=st.integers(0, 2))
    def drop(self, number: int) -> None:
        self.batches[number] = gcctl.batch()
        for entry in [entry for entry in self.entries[number] if entry.running]:
            self.end(entry)
        self.entries[number] = []

    @precondition(lambda self: not self.installed)
    @rule(automatic=st.sampled_from(AUTOMATIC))
    def install(self, automatic: bool | None) -> None:
        gcctl.install("off", automatic_gc=automatic)
        self.installed = True
        self.requested = 0
        self.original = self.meant
        self.ours = self.original if automatic is None else automatic
        if automatic is not None:
            self.switch(automatic)

    @rule()
    def install_what_is_refused(self) -> None:
        with pytest.raises(gcctl.GcctlError):
            gcctl.install("off", gen0_every=-1)

    @precondition(lambda self: self.installed)
    @rule()
    def uninstall(self) -> None:
        gcctl.uninstall()
        self.installed = False
        for entry in [entry for entry in self.running if entry.under_controller]:
            self.end(entry)
        if self.meant == self.ours != self.original:
            self.switch(self.original)

    @rule()
    def others_switch_it_on(self) -> None:
        gc.enable()
        self.on = True

    @rule()
    def others_switch_it_off(self) -> None:
        gc.disable()
        self.on = False

    @rule()
    def tick(self) -> None:
        gcctl.tick()

    @invariant()
    def automatic_gc_is_as_it_should_be(self) -> None:
        assert gc.isenabled() is self.on
        if self.installed:
            assert requested() == self.requested

    def teardown(self) -> None:
        gcctl.uninstall()
        for batch in self.batches.values():
            for _ in range(60):
                batch.__exit__(None, None, None)
        gc.enable()
        gc.unfreeze()


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
