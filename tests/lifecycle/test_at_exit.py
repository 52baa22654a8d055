"""The end of the process: whose finalizers run, and whose do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import needs_fork, run_program

from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.mechanisms import layout_problem

MASTER = """
import gc, os, sys
import gcctl
from gcctl._lifecycle.install import share_with_children

class Journal:
    # Buffered: written when it is finalized. In a cycle: only the collector finds it.
    def __init__(self, name):
        self.me = self
        self.file = open(name, "w")

class LastWords:
    # Finalized while all modules are there still, or else it cannot open its file.
    def __init__(self, name):
        self.me = self
        self.name = name

    def __del__(self):
        with open(self.name, "w") as file:
            file.write("last words")

def serve():
    gcctl.install()
    with gcctl.request():
        pass

def child(work):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            work()
        except Exception:
            os._exit(1)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0

journal = Journal("journal")
dropped = LastWords("dropped")
"""

WRITE = """
def work():
    global dropped
    dropped = None
    journal.file.write("last words")
"""

pytestmark = [
    needs_fork,
    pytest.mark.skipif(sys.platform == "darwin", reason="forking with threads is unsafe on macOS"),
]

not_free_threaded = pytest.mark.skipif(
    COLLECTOR == "free-threaded", reason="what is frozen there cannot be told apart"
)


def run(source: str, directory: Path) -> str:
    return run_program(MASTER + WRITE + source, directory)


def last_words(directory: Path) -> tuple[str, str]:
    """What was in the two files in the end."""
    found = [directory / name for name in ("journal", "dropped")]
    journal, dropped = (path.read_text() if path.exists() else "" for path in found)
    return journal, dropped


BOTH = ("last words", "last words")
NEITHER = ("", "")


@not_free_threaded
class TestComplete:
    """What runs in plain CPython runs with gcctl."""

    @pytest.mark.parametrize("shared", ["", "share_with_children()"], ids=["plain", "shared"])
    @pytest.mark.parametrize(
        "serves",
        [
            "",
            "serve()",
            "serve(); gcctl.uninstall()",
            "gcctl.install('production'); gcctl.tick()",
            "gcctl.install('off'); gcctl.tick()",
        ],
    )
    def test_in_a_child(self, shared: str, serves: str, tmp_path: Path) -> None:
        run(
            f"{shared}\ndef serving():\n    {serves or 'pass'}\n    work()\nchild(serving)",
            tmp_path,
        )
        assert last_words(tmp_path) == BOTH

    @pytest.mark.parametrize("ends", ["", "sys.exit(0)", "gcctl.install()"])
    def test_in_the_master(self, ends: str, tmp_path: Path) -> None:
        run(f"share_with_children()\nchild(lambda: None)\nwork()\n{ends}", tmp_path)
        assert last_words(tmp_path) == BOTH

    def test_in_the_child_of_a_child(self, tmp_path: Path) -> None:
        run("share_with_children()\nchild(lambda: child(lambda: [serve(), work()]))", tmp_path)
        assert last_words(tmp_path) == BOTH

    def test_after_several_rounds(self, tmp_path: Path) -> None:
        run(
            """
for _ in range(3):
    share_with_children()
    child(lambda: None)
    more = Journal("more")
child(work)
""",
            tmp_path,
        )
        assert last_words(tmp_path) == BOTH

    @pytest.mark.parametrize("policy", ["auto", "production", "off"])
    def test_gcctl_keeps_nothing_alive(self, policy: str, tmp_path: Path) -> None:
        """What it refers to in C is seen by no collection."""
        run(
            f"""
controller = gcctl.install({policy!r}, recycle_after_requests=1)
controller.on_recycle(lambda advice, kept=journal: None)
controller.on_alert(lambda alert, kept=journal: None)
controller.journal = journal
with gcctl.batch(), gcctl.hold(), gcctl.request():
    gc.collect()
gcctl.collect_concurrently().finish()
work()
""",
            tmp_path,
        )
        assert last_words(tmp_path) == BOTH

    def test_a_process_that_only_shares_has_its_settings_back(self, tmp_path: Path) -> None:
        out = run(
            """
import atexit
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() < 1000))  # called last
share_with_children()
print(gc.isenabled(), gc.get_freeze_count() < 1000)
""",
            tmp_path,
        )
        assert out == "False False\nTrue True\n"


class TestWhatOthersHaveFrozen:
    """It stays frozen, as in plain CPython."""

    @pytest.mark.parametrize(
        "source",
        [
            "gc.freeze()\nchild(work)",
            "gc.freeze()\nshare_with_children()\nchild(work)",
            "gc.freeze()\nshare_with_children()\nchild(lambda: [serve(), work()])",
            "share_with_children()\nhost = []\ngc.freeze()\nchild(work)",
            "share_with_children()\nchild(lambda: [gc.freeze(), work()])",
            "share_with_children()\nchild(lambda: [gc.freeze(), serve(), work()])",
        ],
    )
    def test_before_or_after(self, source: str, tmp_path: Path) -> None:
        run(source, tmp_path)
        assert last_words(tmp_path) == NEITHER

    @pytest.mark.skipif(bool(layout_problem()), reason=f"all or nothing: {layout_problem()}")
    def test_what_gcctl_has_frozen_on_top_is_given_back_alone(self, tmp_path: Path) -> None:
        run(
            """
theirs = LastWords("theirs")
gc.freeze()
journal, dropped = Journal("journal"), LastWords("dropped")
share_with_children()
def leave():
    global theirs
    theirs = None
    work()
child(leave)
""",
            tmp_path,
        )
        # The journal hangs on the names of the module, which they have frozen.
        assert last_words(tmp_path) == ("", "last words")
        assert not (tmp_path / "theirs").exists()

    def test_it_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "program.py").write_text(
            MASTER + "share_with_children()\nhost = []\ngc.freeze()\n"
        )
        done = subprocess.run(
            [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert "gcctl: what was frozen for sharing stays frozen" in done.stderr


class TestFast:
    def test_nothing_that_is_alive_is_finalized(self, tmp_path: Path) -> None:
        run("alive = LastWords('alive')\ngcctl.install(at_exit='fast')\nwork()", tmp_path)
        assert last_words(tmp_path) == NEITHER
        assert not (tmp_path / "alive").exists()

    def test_it_holds_where_gcctl_was_uninstalled_before_the_end(self, tmp_path: Path) -> None:
        run("gcctl.install(at_exit='fast')\ngcctl.uninstall()\nwork()", tmp_path)
        assert last_words(tmp_path) == NEITHER

    def test_the_last_installation_decides(self, tmp_path: Path) -> None:
        run("gcctl.install(at_exit='fast').uninstall()\ngcctl.install()\nwork()", tmp_path)
        assert last_words(tmp_path) == BOTH

    def test_by_the_environment_where_nothing_is_installed(self, tmp_path: Path) -> None:
        run("os.environ['GCCTL_AT_EXIT'] = 'fast'\nshare_with_children()\nchild(work)", tmp_path)
        assert last_words(tmp_path) == NEITHER

    def test_functions_of_atexit_run_all_the_same(self, tmp_path: Path) -> None:
        out = run(
            """
import atexit, weakref
class Thing: pass
thing = Thing()
weakref.finalize(thing, print, "finalize")
atexit.register(print, "before")
gcctl.install(at_exit="fast")
atexit.register(print, "after")
""",
            tmp_path,
        )
        assert sorted(out.split()) == ["after", "before", "finalize"]


def test_a_process_that_ends_at_once_runs_nothing(tmp_path: Path) -> None:
    out = run(
        "share_with_children()\nserve()\nwork()\nprint('.', flush=True)\nos._exit(0)", tmp_path
    )
    assert out == ".\n"
    assert last_words(tmp_path)[0] == ""


def test_disabled_nothing_is_frozen(tmp_path: Path) -> None:
    out = run(
        "os.environ['GCCTL_DISABLE'] = '1'\n"
        "before = gc.get_freeze_count()\n"
        "print(share_with_children(), gc.get_freeze_count() == before, gc.isenabled())",
        tmp_path,
    )
    assert out == "False True True\n"


def test_a_value_that_is_not_accepted(tmp_path: Path) -> None:
    out = run(
        """
os.environ["GCCTL_AT_EXIT"] = "soon"
before = gc.get_freeze_count()
try:
    share_with_children()
except gcctl.ConfigError as error:
    print(error, gc.get_freeze_count() == before)
""",
        tmp_path,
    )
    assert out.startswith("GCCTL_AT_EXIT (field at_exit): 'soon' is not accepted")
    assert out.endswith("; expected one of complete, fast True\n")


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="POSIX only")
def test_a_daemon_thread_does_not_hold_up_the_end(tmp_path: Path) -> None:
    out = run(
        """
import threading, time
share_with_children()
def allocate():
    while True:
        [[] for _ in range(1000)]
threading.Thread(target=allocate, daemon=True).start()
work()
print(".")
""",
        tmp_path,
    )
    assert out == ".\n"
