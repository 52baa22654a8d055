"""A collector that gcctl does not know is measured and left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_SECONDS, run_program

from gcctl._interpreter.collector import COLLECTOR

pytestmark = pytest.mark.skipif(
    COLLECTOR != "generational", reason="what is imitated is an unknown kind of that one"
)

NEWER = 'import sys; sys.version_info = (3, 16, 0, "alpha", 4)\n'

ANOTHER_KIND = """
import gc
set_threshold, get_threshold = gc.set_threshold, gc.get_threshold
gc.get_threshold = lambda: (*get_threshold()[:2], 0)
"""

TWO_GENERATIONS = """
import gc
gc.get_count = lambda counts=gc.get_count: counts()[:2]
"""

SERVE = """
import gc, weakref
import gcctl

class Node:
    def __init__(self):
        self.me = self

def state():
    return gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()

def collections():
    return [generation["collections"] for generation in gc.get_stats()]

def serve():
    for number in range(300):
        with gcctl.request():
            Node()
    try:
        with gcctl.request():
            raise ValueError
    except ValueError:
        pass

gc.collect()
gc.set_threshold(50_000, 10, 10)  # no automatic GC falls due meanwhile
before, ran = state(), collections()
"""


def run(imitated: str, source: str, directory: Path, **environ: str) -> tuple[list[str], str]:
    """What the program prints, and what is in its log."""
    program = directory / "program.py"
    program.write_text(imitated + SERVE + source)
    done = subprocess.run(
        [sys.executable, program],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("imitated", [NEWER, ANOTHER_KIND], ids=["newer", "another kind"])
@pytest.mark.parametrize("policy", ["auto", "instagram", "production", "conservative"])
def test_no_policy_does_more_than_measure(imitated: str, policy: str, tmp_path: Path) -> None:
    out, log = run(
        imitated,
        f"""
controller = gcctl.install({policy!r}, check_interval="1ms", gc_budget=1.0)
serve()
stats = gcctl.stats()
print(state() == before, collections() == ran)
print(stats.requests, stats.policy, stats.collections)
print(stats.left_alone)
print([line for line in gcctl.report().splitlines() if line.startswith("left alone")])
gcctl.uninstall()
print(state() == before, collections() == ran)
""",
        tmp_path,
    )
    why = (
        f"the garbage collector of this interpreter (CPython {sys.version.split()[0]}) is not "
        f"known to gcctl: it measures and changes nothing, whatever policy {policy!r} says"
    )
    assert out == [
        "True True",
        "301 off 0",
        why,
        str([f"left alone    {why}"]),
        "True True",
    ]
    assert log.count("\n") == 1
    assert log.endswith(f"gcctl: {why}\n")


def test_a_collector_with_other_generations_is_not_known(tmp_path: Path) -> None:
    source = "from gcctl._interpreter.collector import COLLECTOR\nprint(COLLECTOR)"
    assert run(TWO_GENERATIONS, source, tmp_path)[0] == ["unknown"]


def test_off_has_nothing_to_say_about_it(tmp_path: Path) -> None:
    out, log = run(
        NEWER, "gcctl.install('off')\nserve()\nprint(gcctl.stats().left_alone == '')", tmp_path
    )
    assert (out, log) == (["True"], "")


def test_automatic_gc_is_measured(tmp_path: Path) -> None:
    out, _ = run(
        NEWER,
        "gcctl.install()\nkept = [[] for _ in range(200_000)]\nserve()\n"
        "print(gcctl.stats().collections_by_reason.automatic > 2)",
        tmp_path,
    )
    assert out == ["True"]


def test_explicit_calls_act(tmp_path: Path) -> None:
    out, _ = run(
        NEWER,
        """
gcctl.install()
with gcctl.batch():
    dead = weakref.ref(Node())
print(dead() is None)
dead = weakref.ref(Node())
done = gcctl.collect_concurrently()
print(done.outcome, dead() is None)
""",
        tmp_path,
    )
    assert out[0] == "True"
    assert out[1].startswith("fallback: no concurrent collections: ")
    assert out[1].endswith(" True")


def test_thresholds_that_are_0_by_choice_are_no_sign_of_another_collector(tmp_path: Path) -> None:
    out = run_program(
        """
        import gc
        gc.set_threshold(700, 10, 0)
        from gcctl._interpreter.collector import COLLECTOR
        print(COLLECTOR, gc.get_threshold())
        """,
        tmp_path,
    )
    assert out == "generational (700, 10, 0)\n"
