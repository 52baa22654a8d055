"""Short runs of attack.py; `.ci/run full` has long ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from windows import fallback

ATTACK = Path(__file__).parent / "attack.py"


@pytest.mark.parametrize(
    ("allocator", "times"),
    [
        ("debug", 60),
        pytest.param("debug", 200, marks=pytest.mark.slow),
        pytest.param("malloc", 200, marks=pytest.mark.slow),
        pytest.param("pymalloc", 200, marks=pytest.mark.slow),
    ],
)
def test_a_hostile_service_finds_nothing_wrong(allocator: str, times: int, tmp_path: Path) -> None:
    if fallback():
        pytest.skip(str(fallback()))
    done = subprocess.run(
        [sys.executable, ATTACK, "--collections", str(times), "--seconds", "20", "--live", "2000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONMALLOC": allocator},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["violations"] == []
    assert found["outcomes"]["collected"] > 20
    assert found["objects_collected"] > 0
