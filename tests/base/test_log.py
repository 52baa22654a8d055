"""The log, and when the module `logging` is imported for it."""

from __future__ import annotations

from pathlib import Path

from processes import run_program


def test_a_line_that_nobody_would_see_imports_nothing(tmp_path: Path) -> None:
    program = """
import sys
sys.stderr = sys.stdout
from gcctl._base import log
log.info("%s", "nobody sees it")
print("logging" in sys.modules)
log.warning("a %s", "warning")
print("logging" in sys.modules)
"""
    assert run_program(program, tmp_path) == "False\na warning\nTrue\n"
