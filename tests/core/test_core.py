"""The core by hand: a clock, a collector and a list of gc callbacks that the test controls."""

from __future__ import annotations

import asyncio
import copy
import pickle
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from fake_gc import FakeGC
from hypothesis import given
from hypothesis import strategies as st

from gcctl._core import histogram
from gcctl._core.protocol import Core, Entry, Orders
from gcctl._core.records import REASONS, ByReason, Event

SCHEDULED, EMERGENCY, PRESSURE, CONCURRENT, REQUESTED, AUTOMATIC, EXPLICIT = range(len(REASONS))
NS = 10**9


class Node:
    me: Node


class Rig(FakeGC):
    """One core with its surroundings."""

    def __init__(self, core_class: type[Core]) -> None:
        super().__init__()
        self.notified: list[tuple[str, Event | None]] = []
        self.core = core_class(collect=self.collect, clock=self.clock, callbacks=self.callbacks)

    def start(self, every: tuple[int, int, int] = (1, 10, 100), **orders: Any) -> None:
        def note(kind: str, event: Event | None) -> None:
            self.notified.append((kind, event))

        notify = orders.pop("notify", note)
        self.core.start(Orders(every, **orders), notify)

    def fail(self, error: type[BaseException] = ValueError) -> None:
        with pytest.raises(error), self.core.request():
            raise error


def pickled(entry: Entry) -> Entry:
    copied: Entry = pickle.loads(pickle.dumps(entry))
    return copied


@pytest.fixture
def rig(core_class: type[Core]) -> Rig:
    return Rig(core_class)


frequency = st.integers(min_value=0, max_value=50)


class TestSchedule:
    def test_collects_the_highest_generation_due_at_each_request(self, rig: Rig) -> None:
        rig.start((1, 10, 100))
        for _ in range(1000):
            rig.core.tick()
        assert [rig.runs.count(generation) for generation in range(3)] == [900, 90, 10]
        assert rig.runs[8:10] == [0, 1]
        assert rig.runs[99] == 2

    @given(every=st.tuples(frequency, frequency, frequency), requests=st.integers(0, 300))
    def test_is_the_arithmetic_of_multiples(
        self, both_twins: list[type[Core]], every: tuple[int, int, int], requests: int
    ) -> None:
        expected = []
        for request in range(1, requests + 1):
            due = [g for g in range(3) if every[g] and request % every[g] == 0]
            expected += [max(due)] if due else []
        for twin in both_twins:
            rig = Rig(twin)
            rig.start(every)
            for _ in range(requests):
                with rig.core.request():
                    pass
            assert rig.runs == expected

    def test_reports_at_its_own_frequency(self, rig: Rig) -> None:
        rig.start((0, 0, 0), report_every=7)
        for _ in range(20):
            rig.core.tick()
        assert rig.notified == [("report", None)] * 2

    def test_advises_to_recycle_after_so_many_requests(self, rig: Rig) -> None:
        rig.start((0, 0, 0), recycle_after=5)
        for _ in range(4):
            rig.core.tick()
        assert rig.notified == []
        rig.core.tick()
        assert rig.notified == [("recycle", None)]

    def test_starting_again_counts_from_zero(self, rig: Rig) -> None:
        rig.start((3, 0, 0))
        rig.core.tick()
        rig.core.tick()
        rig.core.stop()
        rig.start((3, 0, 0))
        rig.core.tick()
        assert rig.runs == []
        assert rig.core.snapshot().requests == 1


class TestBoundary:
    def test_before_start_nothing_happens(self, rig: Rig) -> None:
        rig.core.tick()
        with rig.core.request():
            pass
        rig.fail()
        assert rig.runs == []
        assert rig.core.snapshot().requests == 0
        assert rig.core.snapshot().failures == 0

    def test_requests_nest_and_share_one_context(self, rig: Rig) -> None:
        rig.start()
        context = rig.core.request()
        with context as first, context as second, rig.core.request() as third:
            assert first is second is third is context
            assert rig.core.snapshot().in_flight == 3
        assert rig.core.snapshot().in_flight == 0
        assert rig.core.snapshot().requests == 3

    def test_exit_without_entry_is_ignored_and_counted(self, rig: Rig) -> None:
        rig.start()
        rig.core.exit(None, None, None)
        snapshot = rig.core.snapshot()
        assert (snapshot.requests, snapshot.in_flight, snapshot.unmatched_exits) == (0, 0, 1)
        assert rig.runs == []

    def test_a_request_under_way_at_start_is_a_boundary_when_it_ends(self, rig: Rig) -> None:
        with rig.core.request():
            rig.start()
        assert rig.core.snapshot().requests == 1
        assert rig.core.snapshot().unmatched_exits == 0

    def test_failing_requests_have_their_boundary_and_keep_their_exception(self, rig: Rig) -> None:
        rig.start()
        error = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught, rig.core.request():
            raise error
        assert caught.value is error
        assert rig.runs == [0]
        assert rig.core.snapshot().failures == 1

    def test_async_with_is_the_same(self, rig: Rig) -> None:
        rig.start()

        async def request() -> None:
            async with rig.core.request():
                await asyncio.sleep(0)

        async def main() -> None:
            await asyncio.gather(*(request() for _ in range(10)))

        asyncio.run(main())
        assert rig.core.snapshot().requests == 10
        assert rig.core.snapshot().in_flight == 0


class TestDue:
    """Whether a boundary would act, which integrations ask before they put one off."""

    def test_says_so_of_the_schedule_and_changes_nothing(self, rig: Rig) -> None:
        rig.start((3, 0, 0))
        due = []
        for _ in range(6):
            due.append(rig.core.due())
            rig.core.tick()
        assert due == [False, False, True] * 2
        assert rig.runs == [0, 0]

    def test_says_so_of_a_check(self, rig: Rig) -> None:
        rig.start((0, 0, 0), check_interval_ns=100)
        assert not rig.core.due()
        rig.time_ns = 100
        assert rig.core.due()
        rig.core.tick()
        assert not rig.core.due()

    def test_says_so_of_allocations(self, core_class: type[Core]) -> None:
        gc = FakeGC()
        core = core_class(
            collect=gc.collect, clock=gc.clock, count=gc.count, callbacks=gc.callbacks
        )
        core.start(Orders(young_after=10), lambda kind, event: None)
        gc.allocated = 9
        assert not core.due()
        gc.allocated = 10
        assert core.due()
        core.tick()
        assert not core.due()

    def test_nothing_is_before_start_and_after_stop(self, rig: Rig) -> None:
        assert not rig.core.due()
        rig.start((1, 0, 0), check_interval_ns=0)
        assert rig.core.due()
        rig.core.stop()
        assert not rig.core.due()


class TestExitStack:
    def test_enters_and_leaves(self, rig: Rig) -> None:
        rig.start()
        with ExitStack() as stack:
            assert stack.enter_context(rig.core.request()) is rig.core.request()
            assert rig.core.snapshot().in_flight == 1
        assert rig.core.snapshot().requests == 1

    def test_sees_failures(self, rig: Rig) -> None:
        rig.start(emergency_interval_ns=NS)
        stack = ExitStack()
        stack.push(rig.core.enter())
        with pytest.raises(ValueError, match="mine"), stack:
            raise ValueError("mine")
        assert rig.core.snapshot().failures == 1
        assert rig.runs == [2]


class TestLooking:
    """At boundaries, at most every so often."""

    def test_at_the_first_boundary_after_the_interval(self, rig: Rig) -> None:
        rig.start((0, 0, 0), check_interval_ns=100)
        for time_ns, checks in ((0, 0), (99, 0), (100, 1), (101, 1), (199, 1), (200, 2), (900, 3)):
            rig.time_ns = time_ns
            with rig.core.request():
                pass
            rig.core.tick()
            assert rig.notified == [("check", None)] * checks, time_ns

    def test_never_when_not_asked_for_and_not_once_stopped(self, rig: Rig) -> None:
        rig.start((0, 0, 0))
        rig.time_ns = 2**60
        rig.core.tick()
        rig.core.stop()
        rig.start((0, 0, 0), check_interval_ns=0)
        rig.core.stop()
        rig.core.tick()
        assert rig.notified == []

    def test_comes_after_the_collection_that_is_due(self, rig: Rig) -> None:
        order: list[object] = []
        rig.start((1, 0, 0), check_interval_ns=0, notify=lambda kind, event: order.append(rig.runs))
        rig.core.tick()
        assert order == [[0]]

    def test_can_put_the_next_one_off(self, rig: Rig) -> None:
        checks: list[int] = []

        def check(kind: object, event: object) -> None:
            checks.append(rig.time_ns)
            rig.core.check_after(3)

        rig.start((0, 0, 0), check_interval_ns=100, notify=check)
        for rig.time_ns in (100, 399, 400, 699, 700):
            rig.core.tick()
        assert checks == [100, 400, 700]
        rig.core.stop()
        rig.core.check_after(1)
        rig.time_ns = 2**60
        rig.core.tick()
        assert checks == [100, 400, 700]

    def test_has_young_objects_left_to_it(self, core_class: type[Core]) -> None:
        gc = FakeGC()
        core = core_class(
            collect=gc.collect, clock=gc.clock, count=gc.count, callbacks=gc.callbacks
        )
        checks: list[tuple[int, int]] = []
        core.start(
            Orders(young_after=10, check_interval_ns=100),
            lambda kind, event: checks.append((core.tallies()[0].collections, gc.allocated)),
        )
        gc.allocated = 10
        gc.time_ns = 100
        core.tick()
        assert checks == [(0, 10)]
        assert gc.allocated == 10
        core.tick()
        assert core.tallies()[0].collections == 1

    def test_counts_anew_in_a_forked_child(self, rig: Rig) -> None:
        rig.start((0, 0, 0), check_interval_ns=100)
        rig.time_ns = 99
        rig.core.after_fork()
        rig.time_ns = 198
        rig.core.tick()
        assert rig.notified == []
        rig.time_ns = 199
        rig.core.tick()
        assert rig.notified == [("check", None)]


class TestEmergency:
    def test_first_failure_gets_a_full_collection_at_once(self, rig: Rig) -> None:
        rig.start((1, 10, 100), emergency_interval_ns=10 * NS)
        rig.fail()
        assert rig.runs == [2]
        assert rig.core.events()[0].reason == "emergency"

    def test_at_most_one_in_the_interval(self, rig: Rig) -> None:
        rig.start((0, 0, 0), emergency_interval_ns=10 * NS)
        rig.pause_ns = 0
        for _ in range(25):
            rig.fail()
            rig.time_ns += NS
        assert rig.runs == [2, 2, 2]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    def test_not_for_an_exit_an_interrupt_or_a_cancelled_task(
        self, rig: Rig, error: type[BaseException]
    ) -> None:
        rig.start((0, 0, 0), emergency_interval_ns=10 * NS)
        rig.fail(error)
        assert rig.runs == []
        assert rig.core.snapshot().failures == 0

    def test_never_when_not_asked_for(self, rig: Rig) -> None:
        rig.start((0, 0, 0), emergency_interval_ns=-1)
        rig.fail()
        assert rig.runs == []


class TestRecording:
    def test_an_event_says_when_how_long_what_and_why(self, rig: Rig) -> None:
        rig.start((2, 0, 0))
        rig.time_ns, rig.pause_ns, rig.collected = 5 * NS, 1234, 56
        with rig.core.request():
            rig.core.tick()
            rig.core.tick()
        assert rig.core.events() == (Event(5 * NS, 1234, 0, 56, "scheduled", 1),)

    def test_long_pauses_are_told_after_the_collection(self, rig: Rig) -> None:
        rig.start((1, 0, 2), max_pause_ns=5_000_000)
        rig.pause_ns = 5_000_000
        rig.core.tick()
        rig.pause_ns, rig.collected = 5_000_001, 7
        rig.core.tick()
        assert rig.notified == [("long_pause", rig.core.events()[-1])]
        assert rig.core.events()[-1].generation == 2

    def test_long_pauses_of_others_are_told_at_the_next_boundary(self, rig: Rig) -> None:
        rig.start((0, 0, 0), max_pause_ns=999)
        rig.collect(2)
        rig.pause_ns = 5000
        rig.collect(1)
        rig.pause_ns = 2000
        rig.collect(0)
        assert rig.notified == []
        rig.core.tick()
        rig.core.tick()
        ((kind, event),) = rig.notified
        assert kind == "long_pause"
        assert event is not None
        assert (event.pause_ns, event.reason) == (5000, "automatic"), "the longest of them"

    def test_or_when_that_is_asked_for(self, rig: Rig) -> None:
        rig.start((0, 0, 0), max_pause_ns=999)
        rig.core.tell_long_pause()
        rig.collect(2)
        rig.core.tell_long_pause()
        rig.core.tell_long_pause()
        assert len(rig.notified) == 1

    def test_the_last_minute_forgets(self, rig: Rig) -> None:
        rig.start((1, 3, 0))
        for _ in range(6):
            rig.core.tick()
        rig.time_ns = 30 * NS
        rig.pause_ns = 7000
        rig.core.tick()
        minute = rig.core.snapshot().last_minute
        assert minute.collections == (5, 2, 0)
        assert minute.totals.collections == 7
        assert minute.totals.pause_max_ns == 7000
        rig.time_ns = 61 * NS
        minute = rig.core.snapshot().last_minute
        assert minute.collections == (1, 0, 0)
        assert minute.totals.pause_total_ns == 7000
        rig.time_ns = 10**6 * NS
        assert rig.core.snapshot().last_minute.totals.collections == 0
        assert rig.core.snapshot().generations[0].collections == 5

    @given(times=st.lists(st.integers(0, 200 * NS), max_size=60), end=st.integers(0, 300 * NS))
    def test_the_last_minute_holds_what_began_in_it(
        self, both_twins: list[type[Core]], times: list[int], end: int
    ) -> None:
        for twin in both_twins:
            rig = Rig(twin)
            rig.pause_ns = 0
            rig.start((1, 0, 0))
            for time_ns in sorted(times):
                rig.time_ns = time_ns
                rig.core.tick()
            rig.time_ns = now = max([end, *times])
            found = rig.core.snapshot().last_minute.totals.collections
            assert sum(t > now - 55 * NS for t in times) <= found
            assert found <= sum(t > now - 60 * NS for t in times)

    def test_collections_of_others_are_seen(self, rig: Rig) -> None:
        rig.start((0, 0, 0))
        with rig.core.request():
            rig.collected, rig.pause_ns = 9, 77
            rig.collect(1)
        assert rig.core.events() == (Event(0, 77, 1, 9, "automatic", 1),)

    def test_all_pauses_are_summed_up(self, rig: Rig) -> None:
        rig.start((1, 2, 4))
        assert rig.core.paused_ns() == 0
        for pause_ns in (1, 10, 100, 1_000):
            rig.pause_ns = pause_ns
            rig.core.tick()
        rig.pause_ns = 10_000
        rig.collect(0)  # somebody else's
        assert rig.core.paused_ns() == 11_111
        rig.core.stop()
        assert rig.core.paused_ns() == 11_111
        rig.start((1, 0, 0))
        assert rig.core.paused_ns() == 0

    def test_collections_of_others_are_not_recorded_unasked(self, rig: Rig) -> None:
        rig.start((0, 0, 0), external=False)
        rig.collect(0)
        assert rig.core.events() == ()

    def test_ring_keeps_the_last_events_and_totals_keep_all(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        for number in range(1000):
            rig.collected = number
            rig.core.tick()
        assert [event.collected for event in rig.core.events()] == list(range(744, 1000))
        assert rig.core.snapshot().generations[0].collected == sum(range(1000))

    @given(pauses=st.lists(st.integers(0, 200 * NS), min_size=1, max_size=50))
    def test_histogram_counts_each_pause_in_its_bucket(
        self, both_twins: list[type[Core]], pauses: list[int]
    ) -> None:
        expected: dict[int, int] = {}
        for pause in pauses:
            bucket = histogram.bucket_of(pause)
            expected[bucket] = expected.get(bucket, 0) + 1
        for twin in both_twins:
            rig = Rig(twin)
            rig.start((1, 0, 0))
            for rig.pause_ns in pauses:
                rig.core.tick()
            totals = rig.core.snapshot().generations[0]
            assert totals.pauses == tuple(sorted(expected.items()))
            assert totals.pause_max_ns == max(pauses)
            assert totals.pause_total_ns == sum(pauses)

    @pytest.mark.parametrize("generation", [-1, 3])
    def test_no_such_generation(self, rig: Rig, generation: int) -> None:
        with pytest.raises(ValueError, match="no such generation"):
            rig.core.collect(generation, REQUESTED)


def passive(phase: str, info: dict[str, int]) -> None:
    """A gc callback of somebody else."""


class TestBusyCollector:
    def test_what_falls_due_inside_a_collection_is_owed_to_the_next_boundary(
        self, rig: Rig
    ) -> None:
        rig.start((1, 0, 2))
        rig.during = [rig.core.tick, lambda: answers.append(rig.core.collect(2, REQUESTED))]
        answers: list[int] = []
        rig.core.tick()  # and in it the second request: generation 2 is due
        assert (rig.runs, answers) == ([0], [-1])
        rig.core.tick()
        assert rig.runs == [0, 2]
        assert rig.core.snapshot().requests == 3

    def test_inside_a_collection_of_somebody_else_nothing_is_recorded(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        rig.during = [rig.core.tick]
        rig.collect(2)
        assert [event.reason for event in rig.core.events()] == ["automatic"]
        rig.core.tick()
        assert [event.reason for event in rig.core.events()] == ["automatic", "scheduled"]

    @pytest.mark.parametrize("ours_first", [True, False])
    @pytest.mark.parametrize("phase", ["start", "stop"])
    def test_neither_is_one_that_did_not_run_because_of_a_callback_of_others(
        self, rig: Rig, ours_first: bool, phase: str
    ) -> None:
        """Before our "start" and after our "stop" a collection is running all the same."""

        def boundary(now: str, info: dict[str, int]) -> None:
            if now == phase and rig.core.snapshot().requests == 0:
                rig.core.tick()

        rig.start((0, 0, 1))
        rig.callbacks.insert(1 if ours_first else 0, boundary)
        rig.collect(0)
        assert rig.core.snapshot().by_reason.scheduled == 0
        rig.core.tick()
        assert rig.core.snapshot().by_reason.scheduled == 1
        assert rig.runs == [0, 2]

    def test_busy_elsewhere_means_another_thread(self, rig: Rig) -> None:
        rig.start((0, 0, 0))
        answers = []
        rig.during = [
            lambda: answers.append(rig.core.busy_elsewhere()),
            lambda: in_thread(lambda: answers.append(rig.core.busy_elsewhere())),
        ]
        rig.collect(0)
        rig.during = [lambda: in_thread(lambda: answers.append(rig.core.busy_elsewhere()))]
        rig.core.collect(0, REQUESTED)
        assert answers == [False, True, True]
        assert not rig.core.busy_elsewhere()

    @pytest.mark.parametrize("hidden_by", ["a callback that removes itself", "removing ours"])
    def test_a_collection_whose_end_was_hidden_is_not_taken_to_go_on(
        self, rig: Rig, hidden_by: str
    ) -> None:
        def once(phase: str, info: dict[str, int]) -> None:
            if phase == "stop":
                rig.callbacks.remove(once)

        rig.start((1, 0, 0))
        if hidden_by == "removing ours":
            rig.during = [rig.callbacks.clear]
        else:
            rig.callbacks.insert(0, once)
        in_thread(lambda: rig.collect(0))
        assert not rig.core.busy_elsewhere()
        rig.core.tick()
        assert rig.core.snapshot().by_reason.scheduled == 1

    def test_boundaries_collect_nothing_while_a_fork_is_made(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        rig.core.hold()
        rig.core.hold()
        rig.core.tick()
        rig.core.release()
        rig.core.tick()
        assert rig.runs == []
        rig.core.release()
        rig.core.tick()
        assert rig.runs == [0]
        rig.core.hold()
        rig.core.after_fork()
        rig.core.tick()
        assert rig.runs == [0, 0]

    def test_a_long_pause_is_not_told_while_a_fork_waits_for_it_to_end(self, rig: Rig) -> None:
        """A log's lock that is held while a fork is made stays locked in the child."""
        rig.start((2, 0, 0), max_pause_ns=1000)
        rig.core.tick()
        rig.pause_ns = 2000
        rig.during = [rig.core.hold]
        rig.core.tick()
        assert rig.runs == [0]
        rig.pause_ns = 0
        rig.core.tick()
        assert rig.notified == []
        rig.core.release()
        rig.core.tick()
        assert [kind for kind, _ in rig.notified] == ["long_pause"]


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


class TestCallbackList:
    def test_alone_in_it_our_callback_is_out_while_we_collect(self, rig: Rig) -> None:
        seen = []
        rig.start((1, 0, 0))
        rig.during = [lambda: seen.append(len(rig.callbacks))]
        rig.core.tick()
        assert seen == [0]
        assert len(rig.callbacks) == 1

    @pytest.mark.parametrize("position", [0, 1])
    def test_the_order_of_others_is_left_alone(self, rig: Rig, position: int) -> None:
        rig.start((1, 0, 0))
        rig.callbacks.insert(position, passive)
        rig.core.tick()
        assert rig.callbacks[position] is passive
        assert len(rig.callbacks) == 2
        assert rig.core.snapshot().by_reason == ByReason(scheduled=1)

    def test_stop_tells_when_ours_was_removed(self, rig: Rig) -> None:
        rig.start()
        assert rig.core.stop()
        rig.start()
        rig.callbacks.clear()
        assert not rig.core.stop()

    def test_others_are_told_apart_by_identity(self, rig: Rig) -> None:
        class Everything:
            def __call__(self, phase: str, info: dict[str, int]) -> None:
                pass

            def __eq__(self, other: object) -> bool:
                return True

            __hash__ = None  # type: ignore[assignment]

        rig.callbacks.append(everything := Everything())
        rig.start()
        assert rig.core.stop()
        assert len(rig.callbacks) == 1
        assert rig.callbacks[0] is everything

    def test_stopping_inside_our_own_collection_leaves_none(self, rig: Rig) -> None:
        answers = []
        rig.start((1, 0, 0))
        rig.during = [lambda: answers.append(rig.core.stop())]
        rig.core.tick()
        assert answers == [True]
        assert rig.callbacks == []

    def test_starting_again_inside_our_own_collection_leaves_one(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        rig.during = [rig.core.stop, rig.start]
        rig.core.tick()
        assert len(rig.callbacks) == 1

    @pytest.mark.parametrize(
        "change",
        [{"generation": 100_000}, {"generation": -1}, {"generation": "x"}, {"collected": None}],
    )
    def test_whatever_others_put_into_the_shared_dict_is_survived(
        self, rig: Rig, change: dict[str, Any]
    ) -> None:
        rig.callbacks.append(lambda phase, info: info.update(change))
        rig.start()
        rig.collect(0)
        assert rig.core.events() == ()
        assert not rig.core.busy_elsewhere()


class TestFaults:
    def test_an_error_in_notification_stays_away_from_the_request(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(kind: str, event: Event | None) -> None:
            raise RuntimeError("broken")

        rig.start((0, 0, 0), report_every=1, notify=broken)
        for _ in range(3):
            with rig.core.request():
                pass
        assert rig.core.snapshot().faults == 3
        assert caplog.text.count("kept away from a request") == 1

    def test_an_exception_while_collecting_does_not_block_the_next(self, rig: Rig) -> None:
        """One that a signal handler raises, say: it is the program's own."""

        def handler() -> None:
            raise TimeoutError

        rig.start((1, 0, 0))
        rig.during = [handler]
        with pytest.raises(TimeoutError):
            rig.core.tick()
        rig.core.tick()
        assert rig.runs == [0, 0]
        assert len(rig.callbacks) == 1

    def test_an_interrupt_is_not_ours_to_keep(self, rig: Rig) -> None:
        def interrupted(kind: str, event: Event | None) -> None:
            raise KeyboardInterrupt

        rig.start((0, 0, 0), report_every=1, notify=interrupted)
        with pytest.raises(KeyboardInterrupt):
            rig.core.tick()


def test_after_fork_everything_starts_from_zero(rig: Rig) -> None:
    rig.start((5, 0, 0))
    rig.core.enter()
    for _ in range(7):
        rig.core.tick()
    rig.core.after_fork()
    snapshot = rig.core.snapshot()
    assert (snapshot.requests, snapshot.in_flight) == (0, 0)
    assert snapshot.generations[0].collections == 0
    rig.runs.clear()
    for _ in range(5):
        rig.core.tick()
    assert rig.runs == [0]


class TestEntry:
    def test_is_one_request_however_often_it_is_left(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        entry = rig.core.begin()
        assert (entry.left, rig.core.in_flight()) == (False, 1)
        for _ in range(3):
            entry.leave()
        assert entry.left
        assert (rig.core.in_flight(), rig.core.boundaries(), rig.runs) == (0, 1, [0])

    def test_that_is_dropped_has_ended(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        entry = rig.core.begin()
        entry.fail(ValueError())
        del entry
        assert (rig.core.in_flight(), rig.core.boundaries(), rig.runs) == (0, 1, [0])
        assert rig.core.snapshot().failures == 1

    @pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
    def test_that_is_ended_from_outside_has_not_failed(
        self, rig: Rig, error: type[BaseException]
    ) -> None:
        rig.start()
        rig.core.begin().leave(error())
        assert rig.core.snapshot().failures == 0

    def test_stays_with_the_process_in_which_it_began(self, rig: Rig) -> None:
        rig.start((1, 0, 0))
        entry, dropped = rig.core.begin(), rig.core.begin()
        rig.core.after_fork()
        assert entry.left
        entry.leave()
        del dropped
        assert (rig.core.in_flight(), rig.core.boundaries(), rig.runs) == (0, 0, [])
        assert rig.core.snapshot().unmatched_exits == 0

    def test_knows_the_pauses_inside_it(self, rig: Rig) -> None:
        rig.start((0, 0, 0))
        rig.pause_ns = 5
        rig.collect(0)
        entry = rig.core.begin()
        rig.collect(0)
        assert entry.gc_pause_ns == 5
        entry.leave()
        rig.collect(0)
        assert entry.gc_pause_ns == 5

    def test_keeps_nothing_of_the_exception(self, rig: Rig) -> None:
        entry = rig.core.begin()
        error = ValueError()
        references = sys.getrefcount(error)
        entry.fail(error)
        entry.leave(error)
        assert sys.getrefcount(error) == references

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
    def test_a_copy_is_one_that_is_over(self, rig: Rig, copied: Callable[[Entry], Entry]) -> None:
        rig.start((0, 0, 0))
        entry = rig.core.begin()
        rig.pause_ns = 5
        rig.collect(0)
        other = copied(entry)
        other.leave()
        assert (other.left, other.gc_pause_ns) == (True, 5)
        del other
        assert rig.core.in_flight() == 1
        entry.leave()
        assert rig.core.snapshot().unmatched_exits == 0

    def test_one_that_nobody_has_begun_is_over(self, rig: Rig) -> None:
        kind: Any = type(rig.core.begin())
        entry = kind.__new__(kind)
        entry.leave()
        assert (entry.left, entry.gc_pause_ns, rig.core.in_flight()) == (True, 0, 0)
