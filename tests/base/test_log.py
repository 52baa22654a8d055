"""The log, and when the module `logging` is imported for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
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
    first, line, last = run_program(program, tmp_path).splitlines()
    assert (first, last) == ("False", "True")
    assert line.endswith(" gcctl: a warning")


PROGRAM = """
import logging, os, re, sys
sys.stderr = sys.stdout
{setup}
from gcctl._base import log
log.warning("100 %% of %s", "it")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("a fault")
print(os.getpid())
"""

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def test_a_program_without_handlers_prints_time_and_process(tmp_path: Path) -> None:
    lines = run_program(PROGRAM.format(setup=""), tmp_path).splitlines()
    pid = lines[-1]
    assert re.fullmatch(rf"{STAMP} \[{pid}\] gcctl: 100 % of it", lines[0])
    assert re.fullmatch(rf"{STAMP} \[{pid}\] gcctl: a fault", lines[1])
    assert lines[-2] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(format='%(name)s %(message)s', stream=sys.stdout)",
        "logging.getLogger('gcctl').addHandler(logging.StreamHandler(sys.stdout))\n"
        "logging.getLogger('gcctl').handlers[0].setFormatter("
        "logging.Formatter('%(name)s %(message)s'))",
    ],
    ids=["root", "own"],
)
def test_a_handler_gets_the_message_alone(setup: str, tmp_path: Path) -> None:
    lines = run_program(PROGRAM.format(setup=setup), tmp_path).splitlines()
    assert lines[:2] == ["gcctl 100 % of it", "gcctl a fault"]


def test_where_the_log_goes_nowhere_nothing_is_printed(tmp_path: Path) -> None:
    setup = "logging.getLogger('gcctl').addHandler(logging.NullHandler())"
    assert len(run_program(PROGRAM.format(setup=setup), tmp_path).splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_a_number_of_its_own(tmp_path: Path) -> None:
    out = run_program(
        """
import os, sys
sys.stderr = sys.stdout
import gcctl
gcctl.install("off", recycle_after_requests=1)
pid = os.fork()
if not pid:
    gcctl.tick()
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
print(pid)
""",
        tmp_path,
    )
    line, pid = out.splitlines()
    assert line.endswith(f" [{pid}] gcctl: this worker should be recycled: 1 requests served")
