"""No public door keeps memory: each is used many times in a process of its own."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from paths import TESTS

import gcctl

SCRIPT = TESTS / "isolated" / "leak.py"
ACTIONS = runpy.run_path(str(SCRIPT))["ACTIONS"]

# Classes that only carry values, made by the doors that are tested.
VALUES = {
    "Alert",
    "AlertCounts",
    "AutoStats",
    "ByReason",
    "CollectionStats",
    "ConcurrentCollection",
    "ConcurrentRun",
    "ConcurrentStats",
    "ConfigError",
    "Controller",
    "CyclePath",
    "CycleProfile",
    "CycleType",
    "Decision",
    "Event",
    "ExplicitCaller",
    "GcctlError",
    "MemoryEvent",
    "MemorySample",
    "MinuteStats",
    "RecycleAdvice",
    "Stats",
}


# It makes a thousand children. "collect_concurrently and dropped" is quick.
SLOW = {"collect_concurrently"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in ACTIONS]
)
def test_no_memory_is_kept(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, name], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    blocks_per_call = float(done.stdout)
    # What a round differs by for other reasons does not grow with the number of calls; a leak of
    # one block per call is at least 0.7 here, where an action is called a hundred times.
    assert blocks_per_call < 0.5


def test_every_public_door_has_a_leak_test() -> None:
    assert set(gcctl.__all__) - VALUES <= {name.split()[0] for name in ACTIONS}
