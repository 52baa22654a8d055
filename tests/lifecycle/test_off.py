"""The policy `off` changes nothing: it measures, and explicit calls act. So it is a baseline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_SECONDS, needs_fork, run_program

STATE = """
import _thread, gc, os

heap = [[number] for number in range(20_000)]

def state():
    tasks = "/proc/self/task"
    return (
        gc.isenabled(),
        gc.get_threshold(),
        gc.get_debug(),
        gc.get_freeze_count(),
        _thread._count(),
        len(os.listdir(tasks)) if os.path.isdir(tasks) else 0,
    )
"""

SERVE = """
import gcctl

def serve():
    seen = []
    for _ in range(50):
        with gcctl.request():
            kept = [[] for _ in range(2_000)]
        seen.append(state())
    try:
        with gcctl.request():
            raise ValueError
    except ValueError:
        pass
    seen += [state(), gcctl.stats() and state(), gcctl.report() and state()]
    gcctl.check_memory()
    return {*seen, state()}
"""

DOORS = {
    "install": "gcctl.install('off')\nseen = serve()\ngcctl.uninstall()",
    "with": "with gcctl.install('off'):\n    seen = serve()",
    "environment": "os.environ['GCCTL_POLICY'] = 'off'\ngcctl.install()\nseen = serve()",
    "disabled": "os.environ['GCCTL_DISABLE'] = '1'\ngcctl.install()\nseen = serve()",
    "disabled, shared": (
        "os.environ['GCCTL_DISABLE'] = '1'\n"
        "from gcctl._lifecycle.install import share_with_children\n"
        "share_with_children()\n"
        "seen = serve()"
    ),
    "a check at every boundary": (
        "gcctl.install('off', check_interval='1ms', report_every=1)\nseen = serve()"
    ),
    "automatic GC off before": """
gc.disable()
before = state()
gcctl.install("off")
seen = serve()
""",
    "WSGI": """
from gcctl.integrations.wsgi import GcctlMiddleware
app = GcctlMiddleware(lambda environ, start: [b""], install={"policy": "off"})
app({}, print).close()
assert gcctl.stats().policy == "off"
seen = serve()
""",
    "ASGI": """
import asyncio
from gcctl.integrations.asgi import GcctlMiddleware
async def nothing(*args): pass
app = GcctlMiddleware(nothing, install={"policy": "off"})
before = state()
asyncio.run(app({"type": "http"}, nothing, nothing))
assert gcctl.stats().policy == "off"
seen = serve()
""",
}


@pytest.mark.parametrize("door", DOORS)
def test_settings_frozen_objects_and_threads_stay(door: str, tmp_path: Path) -> None:
    out = run_program(
        f"{STATE}\n{SERVE}\nbefore = state()\n{DOORS[door]}\nprint({{before, *seen, state()}})",
        tmp_path,
    )
    assert out.count("(") == 2, f"not all alike: {out}"


@needs_fork
def test_in_a_forked_child(tmp_path: Path) -> None:
    out = run_program(
        f"""{STATE}\n{SERVE}
before = state()
gcctl.install("off")
pid = os.fork()
if not pid:
    seen = serve()
    gcctl.uninstall()
    print(len({{before, *seen, state()}}), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(before == state())
""",
        tmp_path,
    )
    assert out == "1\nTrue\n"


@pytest.mark.parametrize(
    ("options", "environ"),
    [(["--policy", "off"], {}), ([], {"GCCTL_POLICY": "off"}), ([], {"GCCTL_DISABLE": "1"})],
    ids=["option", "environment", "disabled"],
)
def test_under_gcctl_run(options: list[str], environ: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"{STATE}\nprint(state())\nkept = [[] for _ in range(9_000)]\nprint(state())"
    )

    def output(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command, str(program)],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert output("-m", "gcctl", "run", *options) == output()


def test_it_collects_nothing_by_itself(tmp_path: Path) -> None:
    """Not even where the program has switched automatic GC off meanwhile."""
    out = run_program(
        f"""{STATE}\n{SERVE}
def collections():
    return [generation["collections"] for generation in gc.get_stats()]
gcctl.install("off")
gc.disable()
before = collections()
serve()
gcctl.uninstall()
print(collections() == before, gc.isenabled())
""",
        tmp_path,
    )
    assert out == "True False\n"


def test_explicit_calls_act(tmp_path: Path) -> None:
    out = run_program(
        """
import gc, weakref
import gcctl
class Node:
    def __init__(self):
        self.me = self
gcctl.install("off")
with gcctl.batch():
    dead = weakref.ref(Node())
    print(gc.isenabled())
print(dead() is None, gc.isenabled())
""",
        tmp_path,
    )
    assert out == "False\nTrue True\n"
