"""A short run of tests/attack.py; the long ones are run by hand and in the nightly build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from windows import fallback

ATTACK = Path(__file__).parent / "attack.py"


@pytest.mark.parametrize("allocator", ["debug", "malloc", "pymalloc"])
def test_a_hostile_service_finds_nothing_wrong(allocator: str, tmp_path: Path) -> None:
    if fallback():
        pytest.skip(str(fallback()))
    done = subprocess.run(
        [sys.executable, ATTACK, "--collections", "200", "--seconds", "20", "--live", "2000"],
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
