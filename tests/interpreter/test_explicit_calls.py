"""Explicit collections: who makes them, and what the owner of the service makes of them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import run_program, wait_until

import gcctl
from gcctl._concurrent.coordinator import coordinator
from gcctl._interpreter import mechanisms
from gcctl._interpreter.explicit_calls import MOST_CALLERS, SHOWN, ExplicitCalls

stand_ins = pytest.mark.skipif(
    bool(mechanisms.missing("stand-ins")), reason="there are no stand-ins here"
)
concurrent = pytest.mark.skipif(bool(coordinator.missing), reason="full collections stop the world")


class Node:
    def __init__(self) -> None:
        self.me = self


@stand_ins
@pytest.mark.parametrize("policy", ["auto", "off", "production"])
def test_the_report_says_who_calls(policy: str) -> None:
    with gcctl.install(policy):
        for _ in range(3):
            gc.collect()
        gc.collect(0)
        stats, report = gcctl.stats(), gcctl.report()
    three, one = sorted(stats.explicit_callers, key=lambda caller: -caller.calls)
    assert (three.calls, one.calls) == (3, 1)
    assert three.place.startswith(__file__ + ":")
    assert 0 < three.pause_max_ns <= three.pause_total_ns
    assert three.place in report
    assert stats.collections_by_reason.explicit == 4


def test_automatic_and_explicit_ones_are_told_apart(tmp_path: Path) -> None:
    program = """
import gc
import gcctl
gcctl.install("off")
kept = [[] for _ in range(200_000)]
automatic = gcctl.stats().collections_by_reason
gc.collect()
gc.collect(0)
both = gcctl.stats().collections_by_reason
print(automatic.explicit, automatic.automatic > 10)
print(both.explicit)
"""
    assert run_program(program, tmp_path) == "0 True\n2\n"


def test_what_c_code_collects_is_explicit_and_its_caller_unknown(tmp_path: Path) -> None:
    program = """
import ctypes, gc
import gcctl
gcctl.install("off")
ctypes.pythonapi.PyGC_Collect()
print(gcctl.stats().collections_by_reason.explicit, gcctl.stats().explicit_callers)
"""
    assert run_program(program, tmp_path) == "1 ()\n"


@stand_ins
def test_at_most_every_so_often() -> None:
    gcctl.install(explicit_collect="at most every 1h")
    first, second = weakref.ref(Node()), None
    assert gc.collect() > 0
    assert first() is None
    second = weakref.ref(Node())
    assert gc.collect() == 0
    assert second() is not None
    assert gc.collect(1) > 0, "of other generations nothing is said"
    (full,) = [caller for caller in gcctl.stats().explicit_callers if caller.skipped]
    assert full.skipped == 1
    assert ", 1 skipped" in gcctl.report()


@stand_ins
@concurrent
def test_concurrently() -> None:
    gcctl.install(explicit_collect="concurrent")
    dead = weakref.ref(Node())
    gc.collect(1)
    kept = Node()
    dead = weakref.ref(kept)
    gc.collect(1)
    del kept
    assert gc.collect() == 0
    assert dead() is not None

    def served() -> bool:
        gcctl.tick()
        return gcctl.stats().concurrent.collected == 1

    wait_until(served)
    assert dead() is None


def test_where_it_has_no_effect_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GCCTL_WITHOUT", "stand-ins")
    with gcctl.install("off"):
        pass
    assert "explicit_collect" not in caplog.text
    with gcctl.install("off", explicit_collect="at most every 1h"):
        dead = weakref.ref(Node())
        gc.collect()
        assert dead() is None
    said = "explicit_collect 'at most every 1h' has no effect: switched off by GCCTL_WITHOUT"
    assert said in caplog.text


@stand_ins
def test_it_ends_with_the_installation() -> None:
    with gcctl.install(explicit_collect="at most every 1h"):
        gc.collect()
    dead = weakref.ref(Node())
    gc.collect()
    assert dead() is None


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 10**9)), max_size=300))
def test_memory_is_fixed_and_the_busiest_are_shown(made: list[tuple[int, int]]) -> None:
    time_ns = 1

    def now() -> int:
        return time_ns

    calls = ExplicitCalls(now, collect_concurrently=None, interval_ns=None, fault=pytest.fail)
    totals: dict[str, int] = {}
    for line, pause_ns in made:
        begun = (("app.py", line + 1), time_ns)
        time_ns += pause_ns
        calls.end(begun)
        totals[f"app.py:{line + 1}"] = totals.get(f"app.py:{line + 1}", 0) + pause_ns
    assert len(calls._callers) <= MOST_CALLERS
    shown = calls.busiest()
    assert len(shown) <= SHOWN
    assert [caller.pause_total_ns for caller in shown] == sorted(
        (caller.pause_total_ns for caller in shown), reverse=True
    )
    if len(totals) <= MOST_CALLERS:
        wanted = sorted(totals.values(), reverse=True)[:SHOWN]
        assert [caller.pause_total_ns for caller in shown] == wanted
