"""When a full collection is not concurrent although it could be: by what the last ones took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcctl._concurrent.feasibility import (
    BACK_OFF_NS,
    SHORT_START_NS,
    SMALLEST_OBJECT,
    TABLES_PER_OBJECT,
    Feasibility,
)

GIB = 2**30
MS = 10**6


class Ended:
    """What Feasibility reads of a collection."""

    def __init__(self, outcome: str, failed: bool, tracked: int = 0) -> None:
        self.outcome = outcome
        self.failed = failed
        self.measured = type("Run", (), {"tracked_objects": tracked})


COLLECTED = Ended("collected", False)
FAILED = Ended("void: the child got no memory", True)
SPOILED = Ended("void: another full collection came in between", False)


@pytest.fixture(autouse=True)
def much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcctl._memory.limits.available_bytes", lambda groups: 2**50)


def feasibility_after(*ended: Ended, now_ns: int = 0) -> Feasibility:
    found = Feasibility()
    for each in ended:
        found.note_end(each, now_ns)  # type: ignore[arg-type]
    return found


def counted(rss: int, start_ns: int, tracked: int) -> Feasibility:
    """One child was made, and has counted the objects."""
    found = Feasibility()
    found.note_start(rss, start_ns)
    found.note_end(Ended("collected", False, tracked), 0)  # type: ignore[arg-type]
    return found


def test_at_first_nothing_speaks_against_it() -> None:
    assert Feasibility().why_not(GIB, 0) == ""


def test_a_large_process_with_few_objects_is_better_stopped() -> None:
    found = counted(GIB, 20 * MS, 100_000)  # to stop takes 6 ms at least
    assert found.why_not(GIB, 0) == "making the child would take longer than to stop the world"
    found.note_stop(50 * MS)  # as it turns out
    assert found.why_not(GIB, 0) == ""


def test_the_fastest_of_the_last_starts_counts() -> None:
    found = counted(GIB, 20 * MS, 1_000_000)
    for _ in range(3):
        found.note_start(GIB, 900 * MS)  # the machine was busy
    assert found.why_not(GIB, 0) == ""
    found.note_start(GIB, 900 * MS)
    assert found.why_not(GIB, 0) != ""


@given(st.integers(1, SHORT_START_NS - 1), st.integers(1, 2**40), st.integers(1, 10**6))
def test_a_short_start_is_always_feasible(start_ns: int, rss: int, tracked: int) -> None:
    found = counted(rss, start_ns, tracked)
    assert found.why_not(rss, 0) == ""


def test_failures_in_a_row_are_followed_by_stops_for_a_while() -> None:
    assert feasibility_after(FAILED).why_not(GIB, 0) == ""
    assert feasibility_after(FAILED, COLLECTED, FAILED).why_not(GIB, 0) == ""
    assert feasibility_after(FAILED, SPOILED, SPOILED).why_not(GIB, 0) == ""
    found = feasibility_after(FAILED, FAILED, now_ns=1000)
    assert found.why_not(GIB, 1000) == "the last ones were void: the child got no memory"
    assert found.why_not(GIB, 1000 + BACK_OFF_NS) == ""
    found.note_end(FAILED, 1000 + BACK_OFF_NS)  # type: ignore[arg-type]
    assert found.why_not(GIB, 1001 + BACK_OFF_NS) != ""


def test_memory_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcctl._memory.limits.available_bytes", lambda groups: GIB // 10)
    assert Feasibility().why_not(GIB, 0) == "too little memory is free"
    assert Feasibility().why_not(GIB // 100, 0) == ""


def test_what_was_true_of_a_smaller_heap_says_nothing() -> None:
    found = counted(GIB, 20 * MS, 1_000)
    found.note_stop(1 * MS)
    found.note_start(GIB, 20 * MS)
    assert found.why_not(GIB, 0) != ""
    assert found.why_not(2 * GIB, 0) == ""
    assert found.capacity(2 * GIB)[1] >= 2 * GIB // SMALLEST_OBJECT * TABLES_PER_OBJECT


@given(st.integers(0, 2**45), st.integers(0, 2**40))
def test_there_is_room_for_every_object_that_fits_into_the_process(rss: int, tracked: int) -> None:
    candidates, table_bytes = counted(rss, 1, tracked).capacity(rss)
    assert candidates * SMALLEST_OBJECT >= rss - SMALLEST_OBJECT
    assert table_bytes >= 32 * tracked
