"""A second interpreter in the process, as under mod_wsgi: there gcctl does nothing but say why."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from processes import run_program

NAMES = ("_interpreters", "_xxsubinterpreters")  # from 3.13 on, and before
pytestmark = pytest.mark.skipif(
    not any(map(importlib.util.find_spec, NAMES)), reason="this CPython makes no interpreters"
)

MAIN = """
import gc, sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def run(code):
    how = {"legacy": {"isolated": False}, "isolated": {"isolated": True}}[KIND]
    if hasattr(interpreters, "exec"):
        one = interpreters.create(KIND)
        answer = interpreters.exec(one, code)
    else:
        one = interpreters.create(**how)
        answer = interpreters.run_string(one, code)
    interpreters.destroy(one)
    if answer is not None:
        print(answer)
    sys.stdout.flush()
"""


@pytest.fixture(params=["legacy", "isolated"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "isolated" and sys.version_info[:2] == (3, 12):
        pytest.skip("CPython 3.12 crashes where two of them import decimal")
    return f"{MAIN}\nKIND = {request.param!r}\n"


SERVES = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from gcctl.integrations.wsgi import GcctlMiddleware
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
for name in ("one", "another"):
    served = 0
    app = GcctlMiddleware(application, install={"policy": "production"})
    for _ in range(100):
        response = app({}, lambda *args: None)
        served += list(response) == [b"x"]
        response.close()
    print(name, served)
import gcctl
with gcctl.request():
    gcctl.tick()
with gcctl.batch(), gcctl.hold():
    pass
print(gcctl.stats() == gcctl.Stats(), gcctl.install().installed, gcctl.share_with_children())
gcctl.uninstall()
import gc
print(gc.isenabled(), gc.get_threshold() == before, len(gc.callbacks))
sys.stdout.flush()
"""
SERVED = ["one 100", "another 100", "True False False", "True True 0"]

FIRST = "import gc; before = gc.get_threshold()\n"


@pytest.mark.parametrize("installed", [True, False], ids=["main has it", "main has it not"])
def test_requests_are_served_and_the_log_names_the_remedy(
    kind: str, installed: bool, tmp_path: Path
) -> None:
    source = f"""
CODE = {FIRST + SERVES!r}
if {installed}:
    import gcctl
    gcctl.install("production")
for _ in range(2):
    run(CODE)
"""
    out = run_program(kind + source, tmp_path).splitlines()
    assert len(out) == 2 * (len(SERVED) + 1)
    for lines in (out[:5], out[5:]):
        remedy = lines.pop(0)
        assert remedy.startswith("gcctl is not installed: this is not the main interpreter")
        assert "WSGIApplicationGroup %{GLOBAL}" in remedy
        assert lines == SERVED


def test_the_main_interpreter_is_served_all_the_same(kind: str, tmp_path: Path) -> None:
    source = f"""
CODE = {FIRST + SERVES.replace("stream=sys.stdout", "filename='log'")!r}
run(CODE)
import gcctl
gcctl.install("production")
with gcctl.request():
    pass
run(CODE)
with gcctl.request():
    pass
stats = gcctl.stats()
print(stats.requests, stats.in_flight, stats.faults, gc.isenabled(), len(gc.callbacks))
handle = gcctl.collect_concurrently()
handle.finish()
print(handle.outcome.partition(":")[0] in ("collected", "fallback"))
gcctl.uninstall()
print(gc.isenabled(), len(gc.callbacks))
"""
    out = run_program(kind + source, tmp_path).splitlines()
    assert out == [*SERVED, *SERVED, "2 0 0 False 1", "True", "True 0"]


def test_a_call_for_a_full_collection_collects_what_is_its_own(kind: str, tmp_path: Path) -> None:
    code = """
import gcctl, weakref
class Node:
    def __init__(self):
        self.me = self
dead = weakref.ref(Node())
handle = gcctl.collect_concurrently()
print(dead() is None, handle.outcome, flush=True)
"""
    out = run_program(f"{kind}\nrun({code!r})\n", tmp_path).splitlines()
    assert out[-1] == (
        "True fallback: no concurrent collections: this is not the main interpreter of the process"
    )


def test_a_wish_for_the_compiled_core_breaks_no_request(kind: str, tmp_path: Path) -> None:
    code = """
import os
os.environ["GCCTL_IMPL"] = "c"
import gcctl
with gcctl.request():
    print("served", flush=True)
"""
    assert run_program(f"{kind}\nrun({code!r})\n", tmp_path) == "served\n"
