"""batched_gc(): a loop that is a batch, with a collection now and then."""

from __future__ import annotations

import _thread
import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from collecting import Node, collections, requested
from memory_hog import LITTLE
from processes import in_child, needs_fork
from threads import no_thread

import gcctl


class TestBatchedGC:
    def test_hands_out_all_in_order_and_lazily(self, found: bool) -> None:
        asked: list[int] = []

        def source() -> Iterator[int]:
            for number in range(25):
                asked.append(number)
                yield number

        items = gcctl.batched_gc(source())
        assert asked == []
        assert gc.isenabled() is found, "it begins with the first item"
        for number in items:
            assert asked == list(range(number + 1))
            assert not gc.isenabled()
        assert len(asked) == 25
        assert gc.isenabled() is found

    @pytest.mark.parametrize(
        ("count", "every", "expected"),
        [
            (0, 1, [2]),
            (1, 1, [0, 2]),
            (25, 10, [0, 0, 2]),
            (20, 10, [0, 0, 2]),
            (9, 10, [2]),
            (3, 10**30, [2]),
        ],
    )
    def test_collects_generation_0_now_and_then_and_fully_at_its_end(
        self, count: int, every: int, expected: list[int]
    ) -> None:
        controller = gcctl.install("off")
        assert list(gcctl.batched_gc(range(count), every=every)) == list(range(count))
        events = [event for event in controller.events() if event.reason == "requested"]
        assert [event.generation for event in events] == expected

    def test_every_ten_items_is_the_default(self) -> None:
        gcctl.install("off")
        for number in gcctl.batched_gc(range(100)):
            assert requested() == number // 10

    def test_what_an_item_leaves_is_collected_on_the_way(self) -> None:
        alive = weakref.WeakSet[Node]()
        most = 0
        for _ in gcctl.batched_gc(range(100), every=5):
            alive.add(Node())
            most = max(most, len(alive))
        assert most == 5
        assert len(alive) == 0

    def test_it_works_without_install(self, found: bool) -> None:
        with collections() as seen:
            for _ in gcctl.batched_gc(range(4), every=2):
                pass
        assert [generation for generation in seen if not found] == ([] if found else [0, 0, 2])
        assert seen[-1] == 2

    def test_items_are_let_go_as_soon_as_they_are_handed_out(self) -> None:
        class Item:
            pass

        def source() -> Iterator[Item]:
            for _ in range(5):
                yield Item()

        for item in gcctl.batched_gc(source(), every=2):
            known = weakref.ref(item)
            del item
            assert known() is None

    def test_memory_is_checked_after_each_item(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_thread, "start_new_thread", no_thread)  # nobody else looks
        monkeypatch.setenv("GCCTL_WITHOUT", "asking")
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")
        events = [gcctl.stats().high_memory_events for _ in gcctl.batched_gc("abc", every=100)]
        assert events == [0, 1, 1]

    def test_leaving_the_loop_early_ends_it(self, found: bool) -> None:
        gcctl.install("off")
        for number in gcctl.batched_gc(itertools.count()):
            if number == 15:
                break
        assert gc.isenabled() is found
        assert requested() == 2

    def test_a_failure_in_the_body_ends_it(self, found: bool) -> None:
        mine = ValueError("mine")

        def work() -> None:
            for _ in gcctl.batched_gc(range(3)):
                raise mine

        with pytest.raises(ValueError, match="mine") as caught:
            work()
        assert caught.value is mine
        assert gc.isenabled() is found

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
    def test_a_failure_of_the_iterable_goes_on_unchanged(
        self, error: type[BaseException], found: bool
    ) -> None:
        mine = error("mine")

        class Source:
            def __iter__(self) -> Source:
                return self

            def __next__(self) -> int:
                raise mine

        gcctl.install("off")
        with pytest.raises(error) as caught:
            list(gcctl.batched_gc(Source()))
        assert caught.value is mine
        assert gc.isenabled() is found
        assert requested() == 1

    def test_close_and_throw_end_it(self, found: bool) -> None:
        for end in ("close", "throw"):
            items: Any = gcctl.batched_gc(range(3))
            next(items)
            assert not gc.isenabled()
            if end == "close":
                items.close()
            else:
                with pytest.raises(ZeroDivisionError):
                    items.throw(ZeroDivisionError())
            assert gc.isenabled() is found

    def test_dropped_before_its_first_item_it_never_began(self, found: bool) -> None:
        with collections() as seen:
            gcctl.batched_gc(range(3))
        assert gc.isenabled() is found
        assert seen == []

    def test_nested_loops_end_with_the_outer_one(self) -> None:
        controller = gcctl.install("off")
        pairs = [(a, b) for a in gcctl.batched_gc("ab") for b in gcctl.batched_gc("cd")]
        assert pairs == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]
        assert [e.generation for e in controller.events() if e.reason == "requested"] == [2]

    @pytest.mark.parametrize("every", [0, -1, True, 1.5, "10", None])
    def test_what_is_no_number_of_items_is_refused_at_the_call(self, every: Any) -> None:
        with pytest.raises(ValueError, match=r"^every: ") as caught:
            gcctl.batched_gc([], every=every)
        assert str(caught.value) == (
            f"every: {every!r} is not accepted; expected a whole number of at least 1"
        )

    def test_the_refusal_shows_any_value_in_short(self) -> None:
        for every in (-(10**5000), "x" * 10**6):
            with pytest.raises(ValueError, match="is not accepted; expected a whole") as caught:
                gcctl.batched_gc([], every=every)  # type: ignore[arg-type]
            assert len(str(caught.value)) < 200

    def test_what_cannot_be_iterated_is_refused_at_the_call(self) -> None:
        with pytest.raises(TypeError):
            gcctl.batched_gc(3)  # type: ignore[arg-type]

    @needs_fork
    def test_a_child_forked_in_it_can_go_on(self) -> None:
        items = gcctl.batched_gc(range(6), every=2)
        assert next(items) == 0
        assert in_child(lambda: (list(items), gc.isenabled())) == "([1, 2, 3, 4, 5], True)"
        assert not gc.isenabled()
        assert list(items) == [1, 2, 3, 4, 5]
        assert gc.isenabled()
