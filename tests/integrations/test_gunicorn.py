"""gunicorn's hooks, in real masters and workers over real sockets."""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from paths import DOCS

pytest.importorskip("gunicorn")

from collecting import requested
from concurrent_collections import concurrent_only
from gunicorn_servers import HOOKS, Server, private_dirty_bytes
from processes import needs_fork, run_program, wait_until

import gcctl
from gcctl.integrations import gunicorn as hooks

pytestmark = [
    needs_fork,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at through /proc"),
]

VERSION = tuple(map(int, importlib.metadata.version("gunicorn").split(".")[:2]))
IMPATIENT = {"TEST_IMPATIENT": "1", "GCCTL_CHECK_INTERVAL": "1ms", "GCCTL_GC_BUDGET": "1"}


def has(*modules: str) -> Any:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


THREADS = ("--worker-class", "gthread", "--threads", "2")
ASGI = ("--worker-class", "asgi")
UVICORN = ("--worker-class", "uvicorn_worker.UvicornWorker")
GEVENT = ("--worker-class", "gevent")
KINDS = [
    pytest.param(("--worker-class", "sync"), id="sync"),
    pytest.param(THREADS, id="gthread"),
    pytest.param(ASGI, id="asgi", marks=pytest.mark.skipif(VERSION < (24, 0), reason="from 24 on")),
    pytest.param(UVICORN, id="uvicorn", marks=has("uvicorn_worker")),
]
CLOSING = (ASGI, UVICORN, THREADS) if VERSION < (24, 0) else (ASGI, UVICORN)
"""Those that close connections which they have just accepted when they stop, with or without
gcctl."""

KINDS_AND_GREENLETS = [*KINDS, pytest.param(GEVENT, id="gevent", marks=has("gevent"))]


def app_for(kind: tuple[str, ...]) -> str:
    return f"gunicorn_apps:{'asgi' if kind in (ASGI, UVICORN) else 'wsgi'}"


@pytest.mark.parametrize("kind", KINDS)
def test_one_line_of_configuration(kind: tuple[str, ...], tmp_path: Path) -> None:
    with Server(tmp_path, *kind, app=app_for(kind)) as server:
        first = server.ask()
        assert first["policy"] == "auto"
        wait_until(lambda: server.ask()["requests"] > 5)
        assert server.ask("/boom") == 500
        wait_until(lambda: server.ask()["failures"] == 1)
        wait_until(lambda: server.ask()["in_flight"] == 1)
        assert server.ask()["faults"] == 0
        log = server.stop()
    if kind != UVICORN:  # it ends by the signal
        assert len(re.findall(r"gcctl +policy auto", log)) == 1
        assert re.search(r"requests +\d+, 1 failed, 0 in flight", log)


@pytest.mark.parametrize("kind", KINDS_AND_GREENLETS)
def test_each_request_counts_once(kind: tuple[str, ...], tmp_path: Path) -> None:
    """Whoever else marks it: here a middleware in the application."""
    protocol = "asgi" if kind in (ASGI, UVICORN) else "wsgi"
    (tmp_path / "wrapped.py").write_text(
        f"from gunicorn_apps import {protocol}\n"
        f"from gcctl.integrations.{protocol} import GcctlMiddleware\n"
        f"app = GcctlMiddleware({protocol})\n"
    )
    with Server(tmp_path, *kind, app="wrapped:app") as server:
        connection = server.connect()
        seen = [server.ask() for _ in range(20)]
        connection.close()
    # The boundary comes after the response: the last one may not have been counted yet.
    for number, known in enumerate(seen):
        assert number - 1 <= known["requests"] <= number
    assert seen[-1]["in_flight"] <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_boundary_comes_when_the_response_is_out(kind: tuple[str, ...], tmp_path: Path) -> None:
    """Its collection waits for something that is done when the response is here."""
    file = tmp_path / "answered"
    environ = {"GCCTL_POLICY": "instagram"}
    with Server(tmp_path, *kind, app=app_for(kind), environ=environ) as server:
        connection = server.connect()
        connection.request("GET", f"/wait?{file}")
        response = connection.getresponse()
        assert response.status == 200
        response.read(int(response.getheader("content-length", "0")))
        file.touch()
        seen = Path(f"{file}.seen")
        wait_until(lambda: seen.exists() and seen.read_text())
        assert seen.read_text() == "True"
        connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_owed_is_done_where_the_worker_wakes_up(
    kind: tuple[str, ...], tmp_path: Path
) -> None:
    """Half the timeout is how long a sync worker sleeps by itself."""
    file = tmp_path / "collected"
    with Server(tmp_path, *kind, "--timeout", "3600", app=app_for(kind)) as server:
        for _ in range(3):
            server.ask()
            time.sleep(0.15)
        server.ask(f"/older?{file}")
        wait_until(lambda: file.exists() and file.read_text())
    # Under gthread the boundary itself may have done it, in the thread of the request.
    assert file.read_text().startswith(("MainThread", "ThreadPool"))


class TestPreload:
    def test_workers_share_what_the_master_has_frozen(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--preload", environ={"TEST_HEAP": "50000"}) as server:
            known = server.ask()
            assert known["enabled"]
            assert known["frozen"] > 50_000
            assert server.ask("/collects")
            assert server.ask("/uninstall")["policy"] is None
            assert server.ask()["frozen"] > 50_000, "a worker never thaws it"

    @concurrent_only
    def test_a_worker_tenures_what_it_makes_and_finds_its_garbage(self, tmp_path: Path) -> None:
        environ = {"TEST_HEAP": "50000", **IMPATIENT}
        with Server(tmp_path, "--preload", environ=environ) as server:

            def full_collections() -> int:
                for _ in range(20):
                    server.ask("/garbage?1000")
                known = server.ask()
                assert known["tenured"] > 0
                return int(known["fulls"])

            wait_until(lambda: full_collections() > 2)
            assert server.ask()["frozen"] < 100_000

    def test_without_preload_nothing_is_shared(self, tmp_path: Path) -> None:
        with Server(tmp_path) as server:
            server.ask()
            assert server.ask("/uninstall")["policy"] is None
            assert server.ask()["frozen"] == 0

    def test_workers_collect_where_a_thread_of_the_master_was_collecting(
        self, tmp_path: Path
    ) -> None:
        environ = {"TEST_COLLECTING_THREAD": "1"}
        with Server(tmp_path, "--preload", "--workers", "3", environ=environ) as server:
            seen = set()
            for _ in range(20):
                seen.add(server.ask()["pid"])
                assert server.ask("/collects")
            assert seen <= server.workers()

    def test_an_application_that_installs_gcctl_itself_is_respected(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--preload", environ={"TEST_INSTALLS": "1"}) as server:
            assert server.ask()["policy"] == "production"
            wait_until(lambda: server.ask()["requests"] > 0)
            assert server.ask()["frozen"] < 5_000, "at most what gcctl itself is made of"
            assert "the application has installed gcctl in the master" in server.log

    def test_collections_do_not_copy_what_is_shared(self, tmp_path: Path) -> None:
        objects = 200_000
        grown = {}
        for name, config in {"plain": "", "gcctl": HOOKS}.items():
            environ = {"TEST_HEAP": str(objects), **(IMPATIENT if config else {})}
            directory = tmp_path / name
            directory.mkdir()
            with Server(directory, "--preload", config=config, environ=environ) as server:
                for _ in range(20):
                    pid = server.ask()["pid"]  # what requests need themselves
                before = private_dirty_bytes(pid)
                for _ in range(5):
                    assert server.ask("/collects")
                for _ in range(50):
                    assert server.ask()["pid"] == pid
                grown[name] = private_dirty_bytes(pid) - before
        assert grown["plain"] > 20 * objects
        assert grown["gcctl"] <= 1.0 * objects + 2**20


LAST_WORDS = """
import os

class Journal:
    def __init__(self, path):
        self.me = self
        self.file = open(path, "w")  # buffered: written when it is finalized

journal = Journal("journal")

def app(environ, start_response):
    journal.file.write("served ")
    start_response("200 OK", [("Content-Length", "4")])
    return [b"null"]
"""


@pytest.mark.parametrize("kind", [THREADS, ("--worker-class", "sync")], ids=["gthread", "sync"])
@pytest.mark.parametrize(
    ("environ", "written"),
    [({}, "served served "), ({"GCCTL_AT_EXIT": "fast"}, "")],
    ids=["complete", "fast"],
)
def test_what_is_finalized_at_the_end_of_a_worker(
    environ: dict[str, str], written: str, kind: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "words.py").write_text(LAST_WORDS)
    options = ("--preload", "--chdir", str(tmp_path))
    with Server(tmp_path, *options, *kind, app="words:app", environ=environ) as server:
        for _ in range(2):
            server.ask()
        server.stop()
    assert (tmp_path / "journal").read_text() == written


class TestRecycling:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_worker_that_should_be_replaced_is_and_no_request_fails(
        self, kind: tuple[str, ...], tmp_path: Path
    ) -> None:
        if kind == THREADS and importlib.metadata.version("gunicorn") == "24.0.0":
            pytest.skip("that version hangs at max_requests too")
        environ = {"GCCTL_RECYCLE_AFTER_REQUESTS": "5", "GCCTL_RECYCLE_JITTER": "0"}
        with Server(tmp_path, *kind, app=app_for(kind), environ=environ) as server:
            seen: set[int] = set()

            def served_by() -> int:
                try:
                    known = server.ask()
                except ConnectionError:
                    if kind in CLOSING:
                        return len(seen)
                    raise
                assert isinstance(known, dict)
                seen.add(known["pid"])
                return len(seen)

            wait_until(lambda: served_by() > 2)
            log = server.stop()
        assert "Autorestarting worker: gcctl advises it: 5 requests served" in log
        assert re.search(r"requests +\d+, 0 failed", log)


class TestConfiguration:
    def test_disabled(self, tmp_path: Path) -> None:
        environ = {"GCCTL_DISABLE": "1", "TEST_HEAP": "1000"}
        with Server(tmp_path, "--preload", environ=environ) as server:
            known = server.ask()
            assert (known["policy"], known["frozen"], known["enabled"]) == (None, 0, True)
            assert "disabled by GCCTL_DISABLE" in server.log

    @pytest.mark.parametrize("where", ["environment", "raw_env"])
    def test_off_changes_nothing(self, where: str, tmp_path: Path) -> None:
        """So it can serve as a baseline."""
        environ = {"GCCTL_POLICY": "off"} if where == "environment" else {}
        config = HOOKS + (
            "import gc, os\n"
            "def on_exit(server):\n"
            "    server.log.info('at the end: %s', (\n"
            "        gc.isenabled(), gc.get_threshold(),\n"
            "        gc.get_freeze_count() < 1000, len(os.listdir('/proc/self/task'))))\n"
        )
        config += "raw_env = ['GCCTL_POLICY=off']\n" if where == "raw_env" else ""
        environ["TEST_HEAP"] = "50000"
        with Server(tmp_path, "--preload", config=config, environ=environ) as server:
            known = server.ask()
            assert (known["policy"], known["enabled"]) == ("off", True)
            assert known["frozen"] < 5_000, "at most what gcctl itself is made of"
            assert known["requests"] == 0
            wait_until(lambda: server.ask()["requests"] > 2)
            log = server.stop()
        assert f"at the end: {(True, gc.get_threshold(), True, 1)}" in log
        assert "requests      " in log, "it is measured"

    def test_mechanisms_are_switched_off_by_the_environment_that_gunicorn_sets(
        self, tmp_path: Path
    ) -> None:
        config = HOOKS + "raw_env = ['GCCTL_WITHOUT=asking']\n"
        with Server(tmp_path, config=config) as server:
            server.ask()
            log = server.stop()
        assert re.search(r"mechanisms .*asking.*: switched off by GCCTL_WITHOUT", log)

    def test_a_bad_value_is_named(self, tmp_path: Path) -> None:
        with Server(tmp_path, environ={"GCCTL_MAX_PAUSE": "soon"}) as server:
            assert server.master.wait(60) == 3
            assert "GCCTL_MAX_PAUSE (field max_pause): 'soon' is not accepted" in server.log

    def test_the_environment_that_gunicorn_sets_counts(self, tmp_path: Path) -> None:
        config = HOOKS + "raw_env = ['GCCTL_POLICY=conservative']\n"
        with Server(tmp_path, config=config) as server:
            assert server.ask()["policy"] == "conservative"

    def test_hooks_of_ones_own_call_ours(self, tmp_path: Path) -> None:
        config = HOOKS + (
            "from gcctl.integrations import gunicorn as gcctl_hooks\n"
            "def post_fork(server, worker):\n"
            "    gcctl_hooks.post_fork(server, worker)\n"
            "    worker.log.info('my own')\n"
            "def post_request(worker, req):\n"
            "    gcctl_hooks.post_request(worker, req)\n"
        )
        with Server(tmp_path, config=config) as server:
            assert server.ask()["policy"] == "auto"
            wait_until(lambda: server.ask()["requests"] > 2)
            assert "my own" in server.log

    def test_it_can_be_named_on_the_command_line(self, tmp_path: Path) -> None:
        options = ("--config", "python:gcctl.integrations.gunicorn")
        with Server(tmp_path, *options, config="") as server:
            assert server.ask()["policy"] == "auto"


def has_replaced(server: Server, victim: int) -> bool:
    return victim not in server.workers() and len(server.workers()) == 3


@concurrent_only
def test_a_worker_killed_leaves_the_others_unaffected(tmp_path: Path) -> None:
    environ = {"TEST_HEAP": "50000", **IMPATIENT}
    options = ("--preload", "--workers", "3")
    with Server(tmp_path, *options, environ=environ) as server:
        wait_until(lambda: len(server.workers()) == 3)
        for _ in range(5):
            for _ in range(20):
                assert isinstance(server.ask("/garbage?1000"), dict)
            victim = min(server.workers())
            os.kill(victim, signal.SIGKILL)
            wait_until(partial(has_replaced, server, victim))

        # Nobody waits for a token that a killed worker had.
        def all_have_collected() -> bool:
            known = server.ask("/garbage?1000")
            done[known["pid"]] = known["fulls"]
            return set(done) >= server.workers() and min(done.values()) > 2

        done: dict[int, int] = {}
        wait_until(all_have_collected)
        assert "no longer staggered" not in server.log


class _Log:
    def info(self, *message: object) -> None:
        raise AssertionError(message)


class _Worker:
    pid = os.getpid()
    log = _Log()


def test_hooks_without_install_do_nothing() -> None:
    worker: Any = _Worker()
    before = gcctl.stats()
    hooks.post_worker_init(worker)
    hooks.post_request(worker, None)
    hooks.pre_request(worker, None)
    hooks.post_request(worker, None, {}, None)
    hooks.worker_exit(None, worker)
    assert gcctl.stats() == before
    assert requested() == 0


def test_a_gunicorn_that_is_too_old_is_one_clear_error(tmp_path: Path) -> None:
    found = tmp_path / "gunicorn-20.1.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: gunicorn\nVersion: 20.1.0\n")
    out = run_program(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        try:
            import gcctl.integrations.gunicorn
        except ImportError as error:
            print(error)
        """,
        tmp_path,
    )
    assert out == (
        "gcctl.integrations.gunicorn needs gunicorn 22.0 or newer (found 20.1.0): "
        "pip install 'gcctl[gunicorn]'\n"
    )


PAGE = DOCS / "integrations" / "gunicorn.md"


@pytest.mark.skipif(not PAGE.exists(), reason="not in a source tree")
def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    one_line, config, app, own_hooks = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M
    )
    assert one_line == HOOKS
    (tmp_path / "shop.py").write_text(app)
    with Server(tmp_path, app="shop:app", config=config) as server:
        wait_until(lambda: len(server.workers()) == 4)
        for _ in range(50):  # a worker that is still booting is deaf to the signal that stops it
            assert server.ask() == 7
        log = server.stop()
    assert "policy auto" in log
    with Server(tmp_path, app="shop:app", config=own_hooks) as server:
        assert server.ask() == 7
        assert "is here" in server.log
