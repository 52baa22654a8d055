"""`gcctl demo`: real processes, a few requests, and no assertion about how fast anything is."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcctl._demo import client, table, workload
from gcctl.collectors import COLLECTOR

DEMO = [sys.executable, "-m", "gcctl", "demo"]
LONG = [*DEMO, "--requests", "100000", "--heap", "0", "--policies", "production"]

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and terminals")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # `-m` must find the installed package, not a source tree


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


# --- the whole of it ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of one real, short demonstration of all presets."""
    completed = subprocess.run(
        [*DEMO, "--quick", "--requests", "30", "--heap", "2000", "--json"],
        cwd=tmp_path_factory.mktemp("demo"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(completed.stdout)
    return rows


def test_every_preset_has_a_row_and_automatic_gc_comes_first(rows: list[dict[str, Any]]) -> None:
    names = [row["policy"] for row in rows]
    assert names[0] == "off"
    assert {"off", "instagram", "production", "conservative"} <= set(names)


def test_every_request_is_answered_and_counted(rows: list[dict[str, Any]]) -> None:
    assert {(row["requests"], row["errors"]) for row in rows} == {(30, 0)}
    assert {(row["heap_objects"], row["rate"]) for row in rows} == {(2000, 120.0)}


def test_figures_are_consistent(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["worst_ms"]
        assert row["requests_per_s"] > 0
        assert 0 < row["pause_max_ns"] <= row["pause_total_ns"]
        assert row["gc_cpu_share"] == pytest.approx(row["pause_total_ns"] / row["cpu_ns"], rel=0.01)
        assert row["rss_bytes"] > 2**20
        assert row["python"] == ".".join(map(str, sys.version_info[:3]))
        assert row["implementation"] in ("c", "python")


@pytest.mark.skipif(COLLECTOR == "free-threaded", reason="there are no young collections there")
def test_schedules_count_measured_requests_only(rows: list[dict[str, Any]]) -> None:
    collections = {row["policy"]: row["collections_by_generation"] for row in rows}
    assert collections["instagram"] == [27, 3, 0]
    assert collections["production"] == [27, 3, 0]
    assert collections["conservative"] == [29, 1, 0]


def test_the_table_has_a_line_per_policy_and_stderr_stays_empty_without_a_terminal() -> None:
    completed = demo("--requests", "10", "--heap", "0", "--quick", "--policies", "instagram,off")
    assert (completed.returncode, completed.stderr) == (0, "")
    lines = completed.stdout.splitlines()
    assert [line.split()[0] for line in lines if " / " in line][1:] == ["instagram", "off"]
    assert "automatic GC" in completed.stdout


@posix
def test_a_terminal_gets_a_progress_bar() -> None:
    import pty

    master, slave = pty.openpty()
    command = [*DEMO, "--requests", "60", "--heap", "0", "--quick", "--policies", "off", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        out, _ = process.communicate(timeout=120)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the other end any more
        while data := os.read(master, 1024):
            shown += data
    os.close(master)
    assert "off, 1 of 1" in shown.decode()
    assert json.loads(out)[0]["requests"] == 60


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("--heap", "-1", "from 0 to"),
        ("--heap", "many", "whole number"),
        ("--requests", "0", "from 1 to"),
        ("--requests", "1e3", "whole number"),
        ("--rate", "0", "from 1 to 10000"),
        ("--rate", "nan", "from 1 to 10000"),
        ("--rate", "fast", "from 1 to 10000"),
        ("--policies", "off,nonesuch", "instagram"),
        ("--policies", "", "instagram"),
    ],
)
def test_a_value_that_is_not_accepted_is_named(option: str, value: str, accepted: str) -> None:
    completed = demo(option, value)
    assert (completed.returncode, completed.stdout) == (2, "")
    complaint = completed.stderr.splitlines()[-1]
    assert complaint.startswith(f"gcctl demo: error: argument {option}: ")
    assert repr(value.split(",")[-1]) in complaint
    assert accepted in complaint


@contextlib.contextmanager
def running(new_group: bool = False) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A demo in the middle of its measured requests, and its two processes by name."""
    with subprocess.Popen(
        LONG,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0 if new_group else None,
    ) as process:
        try:
            yield process, wait_until(lambda: children_of(process.pid))
        finally:
            process.kill()


def children_of(pid: int) -> dict[str, psutil.Process]:
    """Server and client, once there are both; else nothing."""
    found = {}
    for child in psutil.Process(pid).children(recursive=True):
        for name in ("server", "client"):
            if f"gcctl._demo.{name}" in child.cmdline():
                found[name] = child
    return found if len(found) == 2 else {}


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to that within a minute")


def all_gone(children: dict[str, psutil.Process]) -> bool:
    return not any(child.is_running() for child in children.values())


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as in a terminal: a suite that runs in the background has it ignored, and so would
    every process started from here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@posix
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("terminal", [True, False], ids=["from a terminal", "to the command"])
def test_an_interrupt_ends_all_processes(terminal: bool) -> None:
    with running(new_group=True) as (process, children):
        (os.killpg if terminal else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert all_gone(children)
    assert (process.returncode, out, err) == (130, "", "gcctl demo: interrupted\n")


@posix
def test_no_process_outlives_a_command_that_is_killed() -> None:
    with running() as (process, children):
        process.kill()
        process.wait(timeout=60)
        wait_until(lambda: all_gone(children))


@posix
@pytest.mark.parametrize("name", ["server", "client"])
def test_a_process_that_dies_is_one_clear_error(name: str) -> None:
    with running() as (process, children):
        children[name].kill()
        out, err = process.communicate(timeout=60)
        assert all_gone(children)
    assert (process.returncode, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith(f"gcctl demo: error: the {name}")
    assert "killed by signal 9" in line


def test_requests_without_an_answer_are_counted_and_end_it() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        port = server.server_address[1]
    loop = client.OpenLoop(port, rate=1000, requests=20)  # nobody listens there any more
    for thread in loop.start():
        thread.join()
    assert (loop.errors, loop.latencies_ns) == (20, [])


# --- its parts ------------------------------------------------------------------------------------


class Stalling(socketserver.StreamRequestHandler):
    """Answers at once, but for the first connection."""

    stall = 0.5
    answered = 0

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        if not Stalling.answered:
            time.sleep(self.stall)
        Stalling.answered += 1
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_a_stall_counts_for_every_request_that_it_delays() -> None:
    class Server(socketserver.TCPServer):
        request_queue_size = 100

    with Server(("127.0.0.1", 0), Stalling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        loop = client.OpenLoop(server.server_address[1], rate=100, requests=20)
        for thread in loop.start():
            thread.join()
        server.shutdown()
    # The last of them was due 0.19 s after the first, which was answered 0.5 s after it was due.
    assert loop.errors == 0
    assert min(loop.latencies_ns) >= (0.5 - 0.19) * 1e9


@pytest.mark.parametrize(
    ("q", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.1, 100), (100, 100)]
)
def test_percentiles_are_of_the_nearest_rank(q: float, expected: int) -> None:
    assert client.percentile(range(1, 101), q) == expected


def test_percentile_of_nothing_is_zero() -> None:
    assert client.percentile([], 99) == 0


@pytest.mark.parametrize("objects", [0, 1, 4, 1001])
def test_the_heap_has_that_many_tracked_objects(objects: int) -> None:
    heap = workload.catalogue(objects)
    seen = {id(item) for item in heap}
    for product in heap:
        seen |= {id(item) for item in gc.get_referents(product) if isinstance(item, list | dict)}
    assert len(seen) == objects
    assert all(gc.is_tracked(item) for item in heap)


def test_a_response_has_all_rows_and_what_was_sent() -> None:
    statuses: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> Any:
        statuses.append(status)

    environ = {"QUERY_STRING": workload.PATH.partition("?")[2]} | {
        "HTTP_" + name.upper().replace("-", "_"): value
        for name, value in workload.REQUEST_HEADERS.items()
    }
    document = json.loads(b"".join(workload.application(environ, start_response)))
    assert statuses == ["200 OK"]
    assert len(document["rows"]) == 100
    assert {len(row["relations"]) for row in document["rows"]} == {5}
    assert len(document["parameters"]) == 10
    assert len(document["headers"]) == 20


def test_what_a_request_loads_is_garbage_that_only_the_collector_frees() -> None:
    gc.collect()
    gc.disable()
    try:
        workload.Request({"QUERY_STRING": ""})
        assert gc.collect() >= 600  # 100 rows, 500 relations
    finally:
        gc.enable()


def test_the_table_tells_of_requests_without_an_answer(rows: list[dict[str, Any]]) -> None:
    text = table.render([rows[0], {**rows[1], "errors": 3}])
    assert f"{rows[1]['policy']}: 3 requests were not answered" in text
    assert max(map(len, text.splitlines())) <= 100
