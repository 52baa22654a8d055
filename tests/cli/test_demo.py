"""`gcctl demo`: real processes, a few requests, and no assertion about how fast anything is."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcctl._interpreter.collector import COLLECTOR
from gcctl.cli import main
from gcctl.cli._demo import scenario_files, scenario_requests
from gcctl.cli._demo.child import Child, TrialError
from gcctl.cli._demo.processes import batch, client, files, workload
from gcctl.cli._demo.processes.meter import Meter, peak_rss_bytes, rss_bytes

DEMO = [sys.executable, "-m", "gcctl", "demo"]
LONG = [*DEMO, "--requests", "100000", "--heap", "0", "--policies", "production"]

LONG_FILE = [*DEMO, "--scenario", "files", "--sizes", "2000"]
MIB = 2**20

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and terminals")
proc = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # `-m` must find the installed package, not a source tree


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


# --- the whole of it ------------------------------------------------------------------------------


def rows_of(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The rows of one real, short demonstration."""
    completed = subprocess.run(
        [*DEMO, "--json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(completed.stdout)
    return rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of all presets."""
    folder = tmp_path_factory.mktemp("demo")
    return rows_of(folder, "--quick", "--requests", "30", "--heap", "2000")


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
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--requests", "60", "--heap", "0", "--quick", "--policies", "off"], "off, 1 of 1"),
        (["--scenario", "files", "--sizes", "1"], "1 MiB, automatic GC"),
        (["--scenario", "batch", "--objects", "100"], "gcctl.batch(), round 3 of 3"),
    ],
)
def test_a_terminal_gets_a_progress_bar(arguments: list[str], what: str) -> None:
    import pty

    master, slave = pty.openpty()
    command = [*DEMO, *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        out, _ = process.communicate(timeout=120)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the other end any more
        while data := os.read(master, 1024):
            shown += data
    os.close(master)
    assert what in shown.decode()
    assert json.loads(out)


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of two small files, under a limit that any work goes over."""
    folder = tmp_path_factory.mktemp("demo")
    return rows_of(folder, "--scenario", "files", "--sizes", "12,3", "--limit", "1")


def test_each_file_is_processed_with_automatic_gc_and_with_gcctl(
    file_rows: list[dict[str, Any]],
) -> None:
    assert [(row["file_bytes"] // MIB, row["collector"]) for row in file_rows] == [
        (12, "automatic"),
        (12, "gcctl"),
        (3, "automatic"),
        (3, "gcctl"),
    ]


def test_both_do_the_same_work(file_rows: list[dict[str, Any]]) -> None:
    for automatic, with_gcctl in (file_rows[:2], file_rows[2:]):
        for name in ("records", "words", "checksum"):
            assert automatic[name] == with_gcctl[name]
        assert automatic["words"] > automatic["records"] > 0
    assert file_rows[0]["records"] > 3 * file_rows[2]["records"]


def test_figures_of_files_are_consistent(file_rows: list[dict[str, Any]]) -> None:
    for row in file_rows:
        assert MIB < row["rss_before_bytes"] < row["rss_peak_bytes"]
        assert row["rss_after_bytes"] > 0
        assert row["cpu_ns"] > 0
        assert 0 <= row["pause_max_ns"] <= row["pause_total_ns"] < row["elapsed_ns"]
        assert row["python"] == ".".join(map(str, sys.version_info[:3]))
        assert row["implementation"] in ("c", "python")


def test_gcctl_has_a_limit_and_a_full_collection_at_the_end(
    file_rows: list[dict[str, Any]],
) -> None:
    for row in file_rows:
        if row["collector"] == "gcctl":
            assert row["memory_limit_bytes"] == row["rss_before_bytes"] + MIB
            assert row["high_memory_events"] >= 1
            assert row["collections_by_generation"][2] >= 1
        else:
            assert row["memory_limit_bytes"] is None
            assert row["high_memory_events"] == 0


def test_the_table_of_files_has_a_line_for_each() -> None:
    completed = demo("--scenario", "files", "--sizes", "1")
    assert (completed.returncode, completed.stderr) == (0, "")
    lines = completed.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("1 MiB")] == [
        "1 MiB, automatic GC",
        "1 MiB, gcctl",
    ]
    assert max(map(len, lines)) <= 100


def test_the_text_is_the_same_every_time_and_no_two_mib_are() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    files.write(first, 2)
    files.write(second, 2)
    assert first.getvalue() == second.getvalue()
    assert len(first.getvalue()) == 2 * MIB
    assert first.getvalue()[:MIB] != first.getvalue()[MIB:]


def test_chunks_are_whole_lines_of_a_mib() -> None:
    content = b"".join(b"%d\n" % number for number in range(300_000)) + b"no newline"
    chunks = list(files.chunks(io.BytesIO(content)))
    assert b"".join(chunks) == content
    assert all(chunk.endswith(b"\n") for chunk in chunks[:-1])
    assert all(MIB <= len(chunk) < MIB + 7 for chunk in chunks[:-1])


def test_the_records_of_a_chunk_are_garbage_that_only_the_collector_frees() -> None:
    gc.collect()
    gc.disable()
    try:
        files.Chunk(b"a b,c\n" * 1000)
        assert gc.collect() >= 1000
    finally:
        gc.enable()


def test_a_summary_counts_words_and_records() -> None:
    summary = files.Summary()
    summary.add(b"one two,three\none,two\n")
    assert (summary.records, summary.words) == (2, 5)
    assert summary.first_words == {"one": 2}


# --- batch ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo")
    return rows_of(folder, "--scenario", "batch", "--objects", "40000", "--rounds", "2")


def test_a_batch_is_compared_with_automatic_gc(batch_rows: list[dict[str, Any]]) -> None:
    automatic, with_gcctl = batch_rows
    assert (automatic["collector"], with_gcctl["collector"]) == ("automatic", "gcctl")
    assert automatic["speedup"] == 1
    assert with_gcctl["speedup"] == pytest.approx(
        automatic["elapsed_ns"] / with_gcctl["elapsed_ns"], rel=0.01
    )
    assert sum(automatic["collections_by_generation"]) > 1
    assert with_gcctl["collections_by_generation"] == [0, 0, 1]


def test_figures_of_batches_are_medians_of_all_rounds(batch_rows: list[dict[str, Any]]) -> None:
    for row in batch_rows:
        first, second = row["elapsed_ns_by_round"]
        assert row["elapsed_ns"] == (first + second) // 2
        assert 0 < row["pause_max_ns"] <= row["pause_total_ns"] < row["elapsed_ns"]
        assert row["objects"] == 40_000
        assert row["rss_bytes"] > MIB
        assert row["cpu_ns"] > 0


def test_quick_is_one_round_and_options_beat_it() -> None:
    completed = demo("--scenario", "batch", "--quick", "--objects", "400")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "400 container objects" in completed.stdout
    assert "One round" in completed.stdout
    assert [line.split("  ")[0] for line in completed.stdout.splitlines()[4:6]] == [
        "automatic GC",
        "gcctl.batch()",
    ]
    assert max(map(len, completed.stdout.splitlines())) <= 100


def test_a_structure_has_that_many_container_objects_and_an_index() -> None:
    orders, index = batch.build(40_000)
    lists = [item for order in orders for item in order.values() if isinstance(item, list)]
    assert len(orders) + len(lists) == 40_000
    assert all(gc.is_tracked(item) for item in (*orders, *lists))
    assert sum(map(len, index.values())) == len(orders)


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
        ("--sizes", "0", "from 1 to"),
        ("--sizes", "50,many", "whole number"),
        ("--sizes", "", "whole number"),
        ("--limit", "0", "from 1 to"),
        ("--objects", "5e6", "whole number"),
        ("--rounds", "0", "from 1 to"),
    ],
)
def test_a_value_that_is_not_accepted_is_named(option: str, value: str, accepted: str) -> None:
    completed = demo(option, value)
    assert (completed.returncode, completed.stdout) == (2, "")
    complaint = completed.stderr.splitlines()[-1]
    assert complaint.startswith(f"gcctl demo: error: argument {option}: ")
    assert repr(value.split(",")[-1]) in complaint
    assert accepted in complaint


@pytest.mark.parametrize(
    ("scenario", "option", "value", "owner"),
    [
        ("batch", "--policies", "off", "requests"),
        ("batch", "--sizes", "1", "files"),
        ("files", "--heap", "0", "requests"),
        ("files", "--rounds", "1", "batch"),
        ("requests", "--objects", "1", "batch"),
        ("requests", "--limit", "1", "files"),
    ],
)
def test_an_option_of_another_scenario_is_refused(
    scenario: str, option: str, value: str, owner: str
) -> None:
    completed = demo("--scenario", scenario, option, value)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.splitlines()[-1] == (
        f"gcctl demo: error: argument {option}: belongs to --scenario {owner}, not to {scenario}"
    )


def test_an_unknown_scenario_is_refused() -> None:
    completed = demo("--scenario", "nonesuch")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "'nonesuch'" in completed.stderr


FILES = ["demo", "--scenario", "files", "--sizes", "1"]


def test_too_little_space_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9, 9, MIB - 1)
    )
    assert main(FILES) == 1
    out, err = capsys.readouterr()
    [line] = err.splitlines()
    assert (out, line[:19]) == ("", "gcctl demo: error: ")
    assert tempfile.gettempdir() in line
    assert "1.0 MiB are needed" in line


@pytest.mark.parametrize("arguments", [FILES, ["demo", "--quick"]], ids=["files", "requests"])
def test_no_temporary_folder_is_one_clear_error(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nonesuch"))
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    [line] = err.splitlines()
    assert (out, line[:19]) == ("", "gcctl demo: error: ")
    assert "nonesuch" in line


@posix
def test_a_disk_that_fills_up_is_one_clear_error() -> None:
    limited = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", *LONG_FILE]
    completed = subprocess.run(limited, capture_output=True, text=True, timeout=120, check=False)
    assert (completed.returncode, completed.stdout) == (1, "")
    [line] = completed.stderr.splitlines()
    assert line.startswith("gcctl demo: error: the process for 2000 MiB, automatic GC died")
    assert "File too large" in line


def test_a_file_with_two_results_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    checksums = iter([1, 2])
    monkeypatch.setattr(
        scenario_files,
        "run_alone",
        lambda *_: {"checksum": next(checksums), "words": 1},
    )
    with pytest.raises(TrialError, match="different results"):
        scenario_files.measure({"sizes": [1], "limit": 1}, lambda name: [name], lambda *_: None)


def test_a_process_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"the helper cannot be started: .*nonesuch"):
        Child("helper", [str(tmp_path / "nonesuch")])


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
            children = wait_until(lambda: children_of(process.pid, "server", "client"))
            wait_until(lambda: children["client"].num_threads() > 1)  # its start is over
            yield process, children
        finally:
            process.kill()


def children_of(pid: int, *names: str) -> dict[str, psutil.Process]:
    """The processes of these names, once they are all there; else nothing."""
    found = {}
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
            command = child.cmdline()
            found.update(
                {name: child for name in names if f"gcctl.cli._demo.processes.{name}" in command}
            )
    return found if len(found) == len(names) else {}


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to that within a minute")


def all_gone(children: dict[str, psutil.Process]) -> bool:
    return not any(child.is_running() for child in children.values())


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


def has_large_file(process: psutil.Process) -> bool:
    sizes = []
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            sizes.append(entry.stat().st_size)
    return max(sizes, default=0) > MIB


@proc
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_file_and_no_process_outlives_the_command(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        LONG_FILE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        try:
            children = wait_until(lambda: children_of(process.pid, "files"))
            wait_until(lambda: has_large_file(children["files"]))
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    wait_until(lambda: all_gone(children))
    assert list(tmp_path.iterdir()) == []
    if number == signal.SIGINT:
        assert (process.returncode, out, err) == (130, "", "gcctl demo: interrupted\n")


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
    text = scenario_requests.render([rows[0], {**rows[1], "errors": 3}])
    assert f"{rows[1]['policy']}: 3 requests were not answered" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_meter_counts_and_times_all_collections_of_its_block() -> None:
    gc.disable()
    try:
        gc.collect()
        with Meter() as meter:
            gc.collect(0)
            gc.collect(2)
        gc.collect()
    finally:
        gc.enable()
    figures = meter.figures()
    assert sum(figures["collections_by_generation"]) == 2
    assert 0 < figures["pause_max_ns"] <= figures["pause_total_ns"] <= figures["elapsed_ns"]
    assert figures["cpu_ns"] >= 0


def test_peak_memory_is_what_was_freed_again_too() -> None:
    before = rss_bytes()
    large = bytearray(os.urandom(16 * MIB))
    del large
    assert peak_rss_bytes() >= before + 8 * MIB
