"""The policy `auto` through hours of simulated service: what holds whatever the service does."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import (
    FREE_NS,
    MIB,
    MS,
    NS,
    VISIT_NS,
    FullCollection,
    Phase,
    Request,
    SimulatedService,
)

from gcctl._auto.debt import PART
from gcctl._auto.full_collections import EVIDENCE, GROWTH, MOST_GROWTH
from gcctl._auto.safety_net import LEAST_GROWTH_BYTES
from gcctl._concurrent.staggering import MOST_WAIT_NS
from gcctl._core import pure

BUDGET = 0.01
LIMIT_NS = 10 * MS // PART

requests = st.builds(
    Request,
    every_ns=st.integers(5 * MS, 400 * MS),
    cyclic=st.integers(0, 20_000),
    kept=st.integers(0, 3_000),
    lives=st.integers(1, 2_000),
    die_cyclic=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)
phases = st.lists(st.builds(Phase, st.integers(1, 1_000), requests), min_size=1, max_size=4)


def services_that(**options: st.SearchStrategy[bool]) -> st.SearchStrategy[SimulatedService]:
    return st.builds(
        SimulatedService,
        st.just(pure.Core),
        live=st.integers(1_000, 3_000_000),
        concurrent=st.booleans(),
        busy=st.booleans(),
        **options,
    )


services = services_that(tenures=st.booleans())
idle_too = services_that(idle_thread=st.just(True))
thorough = settings(max_examples=40)


@thorough
@given(service=services, phases=phases)
def test_middle_and_recent_collections_stay_within_the_budget_or_follow_young_ones(
    service: SimulatedService, phases: list[Phase]
) -> None:
    measured = service.serve(*phases)
    spent = measured.pauses_ns
    share = BUDGET / PART * service.time_ns + 2 * LIMIT_NS
    assert spent[1] <= share + 2 * spent[0]
    assert spent[2] <= share + 2 * spent[1]


@thorough
@given(service=services | idle_too, phases=phases)
def test_full_collections_stay_within_the_budget(
    service: SimulatedService, phases: list[Phase]
) -> None:
    measured = service.serve(*phases)
    # One is allowed by what the one before it took, and heaps grow.
    most = measured.live_bytes + measured.most_garbage_bytes + service.rss
    last_ns = most // 150 * 1000
    assert measured.child_ns + measured.pauses_ns[3] <= (
        BUDGET * EVIDENCE * service.time_ns + 2 * last_ns
    )


@thorough
@given(service=services | idle_too, phases=phases)
def test_garbage_is_bounded(service: SimulatedService, phases: list[Phase]) -> None:
    measured = service.serve(*phases)
    fastest = max(
        (phase.each.cyclic + phase.each.kept) * NS / phase.each.every_ns * 150 for phase in phases
    )
    most = max(service.rss, measured.live_bytes)
    full_ns = most / 150 * 700
    between_s = full_ns / (BUDGET * EVIDENCE) / NS + 5  # and 2 s for a quiet moment
    assert measured.most_garbage_bytes <= (
        most * MOST_GROWTH + LEAST_GROWTH_BYTES + fastest * between_s
    )


@thorough
@given(service=services | idle_too, request=requests)
def test_no_generation_is_starved(service: SimulatedService, request: Request) -> None:
    measured = service.serve(Phase(2_000, request))
    # The dearest collection of generation 1 that may come up, within a quarter of 1 %.
    most = LIMIT_NS / (BUDGET / PART) + 2 * NS + 2 * measured.longest_ns[3]
    assert measured.middle_since_ns <= most
    if measured.pauses_ns[1] > LIMIT_NS and service.time_ns > 120 * NS and service._tenures:
        assert service.auto.stats.tenured > 1


@thorough
@given(service=idle_too, phases=phases)
def test_nothing_that_is_let_grow_takes_longer_than_the_longest_pause(
    service: SimulatedService, phases: list[Phase]
) -> None:
    service.serve(
        Phase(100, Request())
    )  # what is there at the start is tenured, and ratios are known
    measured = service.serve(*phases)
    made = max(phase.each.cyclic + phase.each.kept for phase in phases)
    # Predictions know of what is gone through, and of what is freed only what was freed before.
    most_ns = 2 * (10 * MS + made * (VISIT_NS + FREE_NS))
    assert measured.longest_ns[1] <= most_ns
    assert measured.longest_ns[2] <= most_ns


LONG_LIVED = Request(kept=300, lives=1_000, die_cyclic=0.0)
LEAKS_CYCLES = Request(kept=300, lives=1_000, die_cyclic=1.0)


@pytest.mark.parametrize("concurrent", [True, False])
def test_back_off_ends_when_garbage_appears(concurrent: bool) -> None:
    service = SimulatedService(pure.Core, live=1_000_000, concurrent=concurrent)
    quiet = service.serve(Phase(60_000, LONG_LIVED))  # 40 minutes
    assert service.auto.stats.back_off == 3
    leaky = service.serve(Phase(60_000, LEAKS_CYCLES))
    assert leaky.full_collections > 2 * quiet.full_collections
    assert service.auto.stats.back_off == 0
    assert leaky.rss < quiet.rss * (1 + MOST_GROWTH) * 1.1
    assert service.serve(Phase(20_000, LEAKS_CYCLES)).rss <= leaky.rss * (1 + GROWTH)


def test_checks_are_further_apart_while_nothing_grows() -> None:
    service = SimulatedService(pure.Core, live=100_000)
    check, times_ns = service.auto.check, []

    def seen(rss: int) -> bool:
        times_ns.append(service.time_ns)
        return check(rss)

    service.auto.check = seen  # type: ignore[assignment]
    apart_ns = []
    for kept in (0, 2_000):  # 300 kB per request
        service.serve(Phase(50, Request(kept=kept)))
        times_ns.clear()
        service.serve(Phase(500, Request(kept=kept)))
        apart_ns.append(statistics.median(b - a for a, b in pairwise(times_ns)))
    assert 800 * MS <= apart_ns[0] < 900 * MS
    assert 100 * MS <= apart_ns[1] < 200 * MS


def test_what_comes_after_some_time_without_requests_is_not_left_when_no_more_come() -> None:
    service = SimulatedService(pure.Core, live=100_000, idle_thread=True)
    check, times_ns = service.auto.check, [0]

    def seen(rss: int, *, boundary: bool = True) -> bool:
        times_ns.append(service.time_ns)
        return check(rss, boundary=boundary)

    service.auto.check = seen  # type: ignore[method-assign]
    service.serve(Phase(500, Request()))  # checks are far apart
    checks = len(times_ns)
    while len(times_ns) == checks:
        service.serve(Phase(1, Request()))
    assert times_ns[-1] - times_ns[-2] >= 800 * MS
    service.serve(Phase(1, Request(every_ns=390 * MS, cyclic=4_000)))
    service.wait(60 * NS)
    assert sum(service.garbage) == 0


def test_a_full_collection_begins_at_a_boundary_of_its_own() -> None:
    service = SimulatedService(pure.Core, live=300_000)
    begin, idle_ns = service.begin_full, []

    def begin_full() -> FullCollection:
        last = service.core.events()[-1]
        idle_ns.append(service.time_ns - last.time_ns - last.pause_ns)
        return begin()

    service.begin_full = begin_full  # type: ignore[method-assign]
    measured = service.serve(Phase(30_000, LEAKS_CYCLES))  # 20 minutes
    assert len(idle_ns) == measured.full_collections > 2
    assert min(idle_ns) > 0


def test_a_full_collection_that_waits_for_its_turn_holds_up_nothing_else() -> None:
    service = SimulatedService(pure.Core, live=300_000)
    waited: list[int] = []

    def turn_comes(waited_ns: int) -> bool:
        waited.append(waited_ns)
        return waited_ns >= MOST_WAIT_NS

    service.turn_comes = turn_comes
    measured = service.serve(Phase(30_000, LEAKS_CYCLES))  # 20 minutes
    assert measured.full_collections == sum(waited_ns >= MOST_WAIT_NS for waited_ns in waited) > 2
    assert max(waited) < MOST_WAIT_NS + NS
    assert measured.middle_since_ns <= LIMIT_NS / (BUDGET / PART) + 2 * NS


def test_full_collections_that_come_to_nothing_stay_within_the_budget() -> None:
    service = SimulatedService(pure.Core, live=1_000_000)
    service.voids = True
    measured = service.serve(Phase(20_000, Request(kept=1_000)))  # 13 minutes
    last_ns = service.rss // 150 * 1000
    assert measured.full_collections > 1
    assert measured.child_ns + measured.pauses_ns[3] <= (
        BUDGET * EVIDENCE * service.time_ns + 2 * last_ns
    )


def test_what_a_sweep_brings_back_is_not_gone_through() -> None:
    service = SimulatedService(pure.Core, live=1_000_000)
    service.swept_back = 500_000
    measured = service.serve(Phase(5_000, Request(kept=600, lives=30, die_cyclic=1.0)))
    assert measured.full_collections > 0
    assert measured.longest_ns[1] < 2 * LIMIT_NS


def test_one_whose_child_gets_no_turn_is_not_waited_for_without_end() -> None:
    service = SimulatedService(pure.Core, live=200_000)
    service.child_runs = False
    measured = service.serve(Phase(5_000, Request(kept=2_000, lives=300, die_cyclic=1.0)))
    assert measured.rss < 8 * service.bytes_used_by(200_000 + 300 * 2_000)


def test_a_full_collection_of_somebody_else_is_as_good() -> None:
    service = SimulatedService(pure.Core, live=1_000_000)
    kept = Phase(50, Request(kept=4_000))  # 20 % more
    assert service.serve(kept).full_collections == 0
    service.completed += 1
    service.serve(Phase(50, Request()))
    assert service.auto.stats.full_collections == 0
    assert service.auto.stats.grown_objects < 100_000


def test_one_that_is_prevented_was_not_begun() -> None:
    service = SimulatedService(pure.Core, live=100_000)
    service.prevented = True
    service.serve(Phase(500, Request(kept=4_000)))
    assert service.auto.stats.full_collections == 0
    assert not any("began" in decision.what for decision in service.auto.stats.decisions)
    service.prevented = False
    service.serve(Phase(500, Request()))
    assert service.auto.stats.full_collections == 1


def test_a_service_that_makes_no_garbage_is_hardly_ever_collected_in_full() -> None:
    service = SimulatedService(pure.Core, live=2_000_000)
    service.serve(Phase(5_000, LONG_LIVED))
    assert service.serve(Phase(90_000, LONG_LIVED)).full_collections <= 8  # in an hour


def test_tenured_objects_are_gone_through_by_full_collections_only() -> None:
    service = SimulatedService(pure.Core, live=5_000_000)
    measured = service.serve(Phase(20_000, LEAKS_CYCLES))
    assert measured.longest_ns[2] < 2 * LIMIT_NS


def test_what_is_loaded_after_the_start_is_tenured_as_it_comes() -> None:
    service = SimulatedService(pure.Core, live=10_000)
    loading = service.serve(Phase(400, Request(every_ns=20 * MS, kept=10_000, lives=0)))
    assert loading.longest_ns[2] < 4 * LIMIT_NS
    assert service.serve(Phase(2_000, Request())).longest_ns[2] < LIMIT_NS


def test_memory_after_a_day_is_that_of_the_first_hour() -> None:
    service = SimulatedService(pure.Core, live=300_000)
    each = Request(every_ns=200 * MS, cyclic=500, kept=100, lives=300, die_cyclic=0.2)
    first = service.serve(Phase(5 * 3600, each)).rss
    last = service.serve(Phase(5 * 23 * 3600 // 10, each)).rss
    assert last <= first * 1.02 + MIB
