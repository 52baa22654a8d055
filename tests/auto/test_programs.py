"""The policy `auto` in programs that mark no requests, simulated: against CPython's own GC."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulation import (
    CHILD_NS,
    FREE_NS,
    IDLE_NS,
    MS,
    OBJECT_BYTES,
    Measured,
    Phase,
    Request,
    SimulatedProgram,
)

from gcctl._auto.full_collections import EVIDENCE, MOST_GROWTH
from gcctl._auto.safety_net import LEAST_GROWTH_BYTES
from gcctl._core import pure

BUDGET = 0.01
FULL_NS = CHILD_NS + FREE_NS
"""What a concurrent full collection takes at most, per object."""

parts = st.builds(
    Request,
    every_ns=st.integers(MS, 50 * MS),
    cyclic=st.integers(0, 2_000),
    kept=st.integers(0, 2_000),
    lives=st.integers(0, 2_000),
    die_cyclic=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)
phases = st.lists(st.builds(Phase, st.integers(1, 3_000), parts), min_size=1, max_size=4)
either = given(phases=phases, live=st.integers(1_000, 2_000_000), concurrent=st.booleans())
thorough = settings(max_examples=40)


def with_and_without(phases: list[Phase], live: int, concurrent: bool) -> tuple[Measured, Measured]:
    under = SimulatedProgram(pure.Core, live=live, concurrent=concurrent)
    alone = SimulatedProgram(pure.Core, live=live, alone=True)
    return under.serve(*phases), alone.serve(*phases)


@thorough
@either
@example(
    phases=[
        Phase(662, Request(8 * MS, 1459, 1832, 137, 1.0)),
        Phase(723, Request(29 * MS, 306, 374, 625, 0.5)),
        Phase(424, Request(11 * MS, 137, 1274, 218, 0.01)),
    ],
    live=292_247,
    concurrent=True,
)
def test_memory_is_about_that_of_the_program_alone(
    phases: list[Phase], live: int, concurrent: bool
) -> None:
    under, alone = with_and_without(phases, live, concurrent)
    fastest = max(phase.each.kept * OBJECT_BYTES / phase.each.every_ns for phase in phases)
    # Four checks: one finds it due, one begins it, one sees the answer of its child, one frees.
    unseen = fastest * 4 * IDLE_NS
    assert under.rss <= alone.rss * (1 + MOST_GROWTH) + 2 * LEAST_GROWTH_BYTES + unseen


@thorough
@either
def test_collections_stop_it_for_no_longer_than_alone(
    phases: list[Phase], live: int, concurrent: bool
) -> None:
    under, alone = with_and_without(phases, live, concurrent)
    one_more_ns = max(under.longest_ns.values(), default=0) + 10 * MS
    assert sum(under.pauses_ns.values()) <= 1.1 * sum(alone.pauses_ns.values()) + one_more_ns


@thorough
@either
def test_children_stay_within_the_budget(phases: list[Phase], live: int, concurrent: bool) -> None:
    program = SimulatedProgram(pure.Core, live=live, concurrent=concurrent)
    measured = program.serve(*phases)
    last_ns = program.rss // OBJECT_BYTES * FULL_NS
    assert measured.child_ns <= BUDGET * EVIDENCE * program.time_ns + 2 * last_ns
