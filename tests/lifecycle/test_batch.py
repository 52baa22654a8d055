"""batch(): automatic GC held off, and one collection at the end."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from collecting import Node, collections, requested
from processes import in_child, needs_fork
from threads import in_threads

import gcctl


class TestBatch:
    def test_automatic_gc_is_off_within_and_as_before_after_it(
        self, found: bool, installed: bool
    ) -> None:
        for _ in range(2):
            with gcctl.batch():
                assert not gc.isenabled()
            assert gc.isenabled() is found

    def test_one_full_collection_ends_it(self, found: bool, installed: bool) -> None:
        with gcctl.batch():
            node = weakref.ref(Node())
            with collections() as seen:
                kept: list[object] = [[] for _ in range(10_000)]
            assert seen == []
            assert node() is not None
        assert node() is None
        assert requested() == installed
        del kept

    def test_the_context_is_the_batch(self) -> None:
        batch = gcctl.batch()
        with batch as entered:
            assert entered is batch

    def test_nested_ones_are_part_of_the_outermost(self, found: bool) -> None:
        with collections() as seen, gcctl.batch():
            with gcctl.batch(), gcctl.batch():
                pass
            assert seen == []
            assert not gc.isenabled()
        assert seen == [2]

    def test_one_object_can_be_entered_while_entered_and_again_later(self, found: bool) -> None:
        batch = gcctl.batch()
        for _ in range(2):
            with collections() as seen, batch:
                with batch:
                    with batch:
                        pass
                    assert not gc.isenabled()
                assert not gc.isenabled()
                assert seen == []
            assert seen == [2]
            assert gc.isenabled() is found

    def test_overlapping_ones_end_with_the_last(self, found: bool) -> None:
        first, second = gcctl.batch(), gcctl.batch()
        with collections() as seen:
            first.__enter__()
            second.__enter__()
            first.__exit__(None, None, None)
            assert not gc.isenabled()
            assert seen == []
            second.__exit__(None, None, None)
        assert gc.isenabled() is found
        assert seen == [2]

    def test_those_of_other_threads_end_with_the_last(self, found: bool) -> None:
        entered, leave = threading.Event(), threading.Event()

        def work() -> None:
            with gcctl.batch():
                entered.set()
                leave.wait()

        thread = threading.Thread(target=work)
        with collections() as seen:
            with gcctl.batch():
                thread.start()
                entered.wait()
            assert not gc.isenabled()
            assert seen == []
            leave.set()
            thread.join()
        assert gc.isenabled() is found
        assert seen == [2]

    @pytest.mark.usefixtures("short_collections")
    def test_one_object_in_many_threads(self, found: bool) -> None:
        batch = gcctl.batch()
        on: list[bool] = []

        def work() -> None:
            for _ in range(1000):
                with batch:
                    if gc.isenabled():
                        on.append(True)

        in_threads(work)
        assert on == []
        assert gc.isenabled() is found

    @pytest.mark.usefixtures("short_collections")
    def test_a_storm_of_batches_leaves_it_as_found(self, found: bool) -> None:
        """Also the threads that come in while another one is about to switch it on again."""
        on: list[bool] = []

        def work() -> None:
            for _ in range(1000):
                with gcctl.batch():
                    if gc.isenabled():
                        on.append(True)

        in_threads(work)
        assert on == []
        assert gc.isenabled() is found

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_a_failure_ends_it_and_goes_on_unchanged(
        self, error: type[BaseException], found: bool
    ) -> None:
        mine = error("mine")
        with collections() as seen:
            with pytest.raises(error) as caught, gcctl.batch():
                raise mine
            assert caught.value is mine
            assert caught.value.__context__ is None
        assert gc.isenabled() is found
        assert seen == [2]

    def test_it_ends_with_a_generator_that_is_closed(self, found: bool) -> None:
        def work() -> Iterator[bool]:
            with gcctl.batch():
                yield gc.isenabled()

        generator = work()
        assert next(generator) is False
        with collections() as seen:
            generator.close()  # type: ignore[attr-defined]
        assert gc.isenabled() is found
        assert seen == [2]

    def test_it_can_be_left_in_another_thread(self, found: bool) -> None:
        stack = ExitStack()
        stack.enter_context(gcctl.batch())
        assert not gc.isenabled()
        in_threads(stack.close, 1)
        assert gc.isenabled() is found

    def test_leaving_what_was_not_entered_does_nothing(self, found: bool, installed: bool) -> None:
        batch = gcctl.batch()
        batch.__exit__(None, None, None)
        with batch:
            with gcctl.batch() as other:
                pass
            other.__exit__(None, None, None)
            assert not gc.isenabled()
        batch.__exit__(None, None, None)
        assert gc.isenabled() is found
        assert requested() == installed

    def test_one_that_is_dropped_ends_without_a_collection(self, found: bool) -> None:
        batch = gcctl.batch()
        batch.__enter__()
        with collections() as seen:
            with batch:
                del batch  # the block still has it
                assert not gc.isenabled()
            assert gc.isenabled() is found, "it is left for good when nobody can leave it"
        assert seen == []

    def test_one_in_garbage_ends_with_the_garbage(self, found: bool) -> None:
        node: Any = Node()
        node.batch = gcctl.batch()
        node.batch.__enter__()
        assert not gc.isenabled()
        del node
        assert not gc.isenabled()
        gc.collect()
        assert gc.isenabled() is found

    def test_a_dropped_one_does_not_end_others(self, found: bool) -> None:
        with gcctl.batch():
            gcctl.batch().__enter__()
            assert not gc.isenabled()
        assert gc.isenabled() is found

    def test_a_batch_in_a_finalizer_of_the_last_collection(self, found: bool) -> None:
        class Awkward:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                with gcctl.batch():
                    inside.append(gc.isenabled())
                inside.append(gc.isenabled())

        inside: list[bool] = []
        with gcctl.batch():
            Awkward()
        assert inside == [False, False]
        assert gc.isenabled() is found

    def test_nothing_while_disabled_by_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, found: bool
    ) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        with collections() as seen:
            with gcctl.batch():
                assert gc.isenabled() is found
            if not found:
                for _ in gcctl.batched_gc(range(3), every=1):
                    pass
                assert seen == []
            else:
                for _ in gcctl.batched_gc(range(3), every=1):
                    assert gc.isenabled()

    def test_disabled_in_the_middle_it_still_ends(
        self, monkeypatch: pytest.MonkeyPatch, found: bool
    ) -> None:
        batch = gcctl.batch()
        with batch:
            with monkeypatch.context() as patch:
                patch.setenv("GCCTL_DISABLE", "1")
                with batch:
                    assert not gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled() is found

    def test_as_statistics_of_a_controller(self) -> None:
        controller = gcctl.install("off")
        with gcctl.batch():
            Node()
        (event,) = (event for event in controller.events() if event.reason == "requested")
        assert event.generation == 2
        assert event.collected >= 1
        assert gcctl.stats().requests == 0


class TestOthersSwitchIt:
    def test_on_within_one_it_stays_on(self) -> None:
        gc.disable()
        with gcctl.batch():
            gc.enable()
            assert gc.isenabled()
        assert gc.isenabled()

    def test_on_within_one_it_is_held_off_by_the_next_and_on_in_the_end(self) -> None:
        gc.disable()
        with gcctl.batch():
            gc.enable()
            with gcctl.batch():
                assert not gc.isenabled()
        assert gc.isenabled()

    @needs_fork
    def test_on_within_one_it_is_on_in_the_end_also_after_a_fork(self) -> None:
        gcctl.install("off")
        gc.disable()
        with gcctl.batch():
            gc.enable()
            assert in_child(gc.isenabled) == "True"
        assert gc.isenabled()

    def test_off_within_one_it_is_as_before_in_the_end(self, found: bool) -> None:
        """It is off already: nothing tells that somebody has asked for it."""
        with gcctl.batch():
            gc.disable()
        assert gc.isenabled() is found

    def test_off_before_one_it_stays_off(self) -> None:
        with gcctl.batch():
            pass
        gc.disable()
        with gcctl.batch():
            pass
        assert not gc.isenabled()
        gc.enable()
