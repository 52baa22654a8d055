"""The Prometheus exporter, scraped over a socket: one process, and workers behind one port."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from collecting import Node
from paths import DOCS
from processes import run_program, wait_until

import gcctl
from gcctl._core import histogram

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.parser import text_string_to_metric_families

from gcctl.exporters import _metrics, _record_format, prometheus
from gcctl.exporters._reading import Reading

PAGE = DOCS / "integrations" / "prometheus.md"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content.decode()


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def scrape() -> Iterator[Any]:
    registry = CollectorRegistry()
    prometheus.register(registry)
    with make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield lambda: samples(fetch(f"http://127.0.0.1:{server.server_port}/metrics"))
        server.shutdown()
        thread.join()


def test_a_scrape_has_the_counters_of_this_moment(scrape: Any) -> None:
    gcctl.install("instagram", memory_limit="1TiB")
    for _ in range(20):
        with gcctl.request():
            Node()
    with pytest.raises(KeyError), gcctl.request():
        raise KeyError
    gc.collect()
    found, stats = scrape(), gcctl.stats()
    assert of(found, "gcctl_requests_total") == 21
    assert of(found, "gcctl_failed_requests_total") == 1
    assert of(found, "gcctl_requests_in_flight") == 0
    for generation, totals in enumerate(stats.generations):
        labels = {"generation": str(generation)}
        assert of(found, "gcctl_gc_collections_total", **labels) == totals.collections
        assert of(found, "gcctl_gc_collected_objects_total", **labels) == totals.objects_collected
        assert of(found, "gcctl_gc_pause_seconds_count", **labels) == totals.collections
        assert of(found, "gcctl_gc_pause_seconds_sum", **labels) == totals.pause_total_ns / 1e9
    assert of(found, "gcctl_gc_collections_by_reason_total", reason="explicit") == 1
    assert of(found, "gcctl_memory_limit_bytes") == 2**40
    assert of(found, "gcctl_resident_memory_bytes") > 2**20
    assert of(found, "gcctl_high_memory") == 0
    assert of(found, "gcctl_alerts_total", kind="high_memory") == 0
    (info,) = (dict(labels) for name, labels in found if name == "gcctl_info")
    assert info["policy"] == "instagram"
    assert info["implementation"] == stats.implementation


def test_under_auto_there_is_its_state_too(scrape: Any) -> None:
    gcctl.install("auto")
    found = scrape()
    assert of(found, "gcctl_auto_back_off") == 0
    assert of(found, "gcctl_auto_tenured_total") in (0, 1)
    assert of(found, "gcctl_concurrent_collections_total", outcome="collected") == 0
    assert not any(name == "gcctl_memory_limit_bytes" for name, _ in found)


def test_without_install_there_are_no_samples(scrape: Any) -> None:
    assert not scrape()
    gcctl.install("off")
    assert scrape()
    gcctl.uninstall()
    assert not scrape()


def test_a_registry_takes_it_once() -> None:
    registry = CollectorRegistry()
    collector = prometheus.register(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        prometheus.register(registry)
    registry.unregister(collector)
    prometheus.register(registry)


def test_every_bound_of_the_histogram_is_the_end_of_a_bucket_of_the_core() -> None:
    ends = {histogram.bounds(bucket)[1] for bucket in range(histogram.BUCKETS)}
    assert set(_metrics.PAUSE_BOUNDS_NS) <= ends


def test_a_pause_at_a_bound_is_counted_below_it() -> None:
    bound = _metrics.PAUSE_BOUNDS_NS[3]
    pauses = [(histogram.bucket_of(ns), 1) for ns in (bound, bound + 1, 10**18)]
    counts = _metrics.pause_counts(pauses)
    assert (counts[3], counts[4], counts[-1], sum(counts)) == (1, 1, 1, 3)


def test_the_example_answers(tmp_path: Path) -> None:
    example = next(block for name, block in blocks() if name == "python")
    program = tmp_path / "example.py"
    program.write_text(
        example.replace("8000", "0").replace(
            "server.serve_forever()",
            "print(server.server_port, flush=True)\nserver.handle_request()",
        )
    )
    with subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        found = samples(fetch(f"http://127.0.0.1:{port}/metrics"))
        assert process.wait(60) == 0
    assert of(found, "gcctl_requests_total") == 0
    assert any(name == "python_info" for name, _ in found), "and what else is in the registry"


# Several workers.


def blocks() -> list[tuple[str, str]]:
    return re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.S | re.M)


class Server:
    """gunicorn with the files of the page, and a directory for metrics."""

    def __init__(self, process: subprocess.Popen[str], port: int, metrics: Path) -> None:
        self.process, self.port, self.metrics = process, port, metrics

    def get(self, path: str) -> str:
        return fetch(f"http://127.0.0.1:{self.port}{path}")

    def scrape(self) -> Samples:
        return samples(self.get("/metrics"))

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return set(map(int, children.read_text().split()))

    def wait_for_workers(self, count: int = 2, *, but: Set[int] = frozenset()) -> None:
        """Until they have imported the application. A scrape at the moment at which one makes
        prometheus_client's own file, which is empty at first, would fail."""

        def ready() -> bool:
            own = [self.metrics / f"counter_{worker}.db" for worker in self.workers() - but]
            return len(own) == count and all(path.exists() and path.stat().st_size for path in own)

        wait_until(ready, "workers that have imported the application")

    def files(self) -> list[tuple[str, int]]:
        return sorted((path.name, path.stat().st_size) for path in self.metrics.glob("gcctl-*"))


@contextmanager
def gunicorn(directory: Path, *options: str) -> Iterator[Server]:
    pytest.importorskip("gunicorn")
    if not sys.platform.startswith("linux"):
        pytest.skip("looks for workers in /proc")
    _, app, config = (block for name, block in blocks() if name == "python")
    (directory / "app.py").write_text(app)
    (directory / "gunicorn.conf.py").write_text(config)
    metrics = directory / "metrics"
    metrics.mkdir()
    log = directory / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", *options, "app:application"],
            cwd=directory,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(metrics)},
            stderr=stream,
            text=True,
        )
    try:
        listening = re.compile(r"Listening at: http://127.0.0.1:(\d+)")
        wait_until(lambda: listening.search(log.read_text()) or process.poll() is not None)
        found = listening.search(log.read_text())
        assert found, log.read_text()
        server = Server(process, int(found[1]), metrics)
        if "--preload" not in options:
            server.wait_for_workers()
        yield server
    finally:
        process.terminate()
        process.wait(60)
        assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each imports", "preloaded"])
def test_a_scrape_of_any_worker_has_the_counters_of_all(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with gunicorn(tmp_path, *options) as server:
        for _ in range(40):
            assert server.get("/") == "hello\n"

        def complete() -> bool:
            # A worker leaves its counters at a request, a quarter of a second after the last time.
            server.get("/")
            found = server.scrape()
            return of(found, "gcctl_requests_total") == of(found, "greetings_total") >= 41

        wait_until(complete)
        assert [size for _, size in server.files()] == [16384] * len(server.files())
        assert len(server.files()) <= 2
        found = server.scrape()
        workers = {dict(labels)["worker"] for name, labels in found if "resident" in name}
        assert workers <= {"0", "1"}
        assert workers
        assert all(dict(labels)["policy"] == "auto" for name, labels in found if "info" in name)


def test_killed_workers_leave_their_counts_and_no_more_files(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        counted = 0.0
        for _ in range(3):
            for _ in range(10):
                server.get("/")
            found = server.scrape()
            assert of(found, "gcctl_requests_total") >= counted
            counted = of(found, "gcctl_requests_total")
            before = server.workers()
            for worker in before:
                os.kill(worker, signal.SIGKILL)
            server.wait_for_workers(but=before)
        found = server.scrape()
        assert of(found, "gcctl_requests_total") >= counted
        assert len(server.files()) <= 2
        alive = [labels for name, labels in found if name == "gcctl_resident_memory_bytes"]
        assert len(alive) <= 2


def test_who_is_killed_while_it_writes_leaves_the_record_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w+b") as stream:
        for number in (1, 2):
            _record_format.write(stream.fileno(), number, requests_reading(number))
        before = path.read_bytes()
        _record_format.write(stream.fileno(), 3, requests_reading(333))
    after = path.read_bytes()
    for cut in range(_record_format.RECORD_BYTES, _record_format.RECORD_BYTES + 100):
        left = after[:cut] + before[cut:]
        expected = (3, 333) if left == after else (2, 2)
        number, found = _record_format.newest(left)
        assert (number, found.counters["requests"][""]) == expected


def requests_reading(count: int) -> Reading:
    return Reading({"requests": {"": count}}, {}, {}, {})


PROGRAM = """
import os, sys
import gcctl
from gcctl.exporters import prometheus
from prometheus_client import CollectorRegistry, generate_latest

registry = CollectorRegistry()
prometheus.register(registry, directory=".")

def requests():
    lines = generate_latest(registry).decode().splitlines()
    values = [line.split()[1] for line in lines if line.startswith("gcctl_requests_total ")]
    return float(values[0]) if values else None

def ticks(count):
    for _ in range(count):
        gcctl.tick()
"""


def run(source: str, directory: Path) -> list[str]:
    return run_program(PROGRAM + textwrap.dedent(source), directory).split()


def test_counters_survive_uninstall_install_and_the_process(tmp_path: Path) -> None:
    source = """
    gcctl.install("off")
    ticks(3)
    print(requests())
    gcctl.uninstall()
    print(requests())
    gcctl.install("off")
    ticks(4)
    print(requests())
    """
    assert run(source, tmp_path) == ["3.0", "3.0", "7.0"]
    assert run(source, tmp_path) == ["10.0", "10.0", "14.0"]
    assert len(list(tmp_path.glob("*.worker"))) == 1


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"], ids=["hooks", "no hooks"])
def test_a_forked_child_has_a_file_of_its_own(fork: str, tmp_path: Path) -> None:
    source = f"""
    import ctypes
    gcctl.install("off")
    ticks(3)
    print(requests(), flush=True)
    if not {fork}():
        ticks(5)
        print(requests(), flush=True)
        os._exit(0)
    os.wait()
    print(requests())
    """
    assert run(source, tmp_path) == ["3.0", "8.0", "8.0"]
    assert len(list(tmp_path.glob("*.worker"))) == 2


def test_a_worker_whose_descriptors_or_files_were_taken_away_counts_on(tmp_path: Path) -> None:
    source = """
    gcctl.install("off")
    ticks(3)
    print(requests())
    os.closerange(3, 100)
    others = [os.open("program.py", os.O_RDONLY) for _ in range(10)]
    ticks(2)
    print(requests())
    for name in os.listdir("."):
        if name.endswith(".worker"):
            os.unlink(name)
    ticks(2)
    print(requests())
    """
    assert run(source, tmp_path) == ["3.0", "5.0", "7.0"]
    assert (tmp_path / "program.py").read_text().startswith("\nimport os")


def test_a_directory_that_goes_away_breaks_nothing(tmp_path: Path) -> None:
    source = """
    import shutil, time
    prometheus.PUBLISH_SECONDS = 0
    os.mkdir("metrics")
    prometheus.register(CollectorRegistry(), directory="metrics")
    gcctl.install("off", check_interval=0.001)
    ticks(1)
    shutil.rmtree("metrics")
    while not named:
        time.sleep(0.01)
        ticks(1)
    for _ in range(5):
        time.sleep(0.01)
        ticks(1)
    gcctl.uninstall()
    print(*named, gcctl.stats().faults)
    """
    assert run(LOG + textwrap.dedent(source), tmp_path) == ["worker", "0"]


def test_a_directory_that_is_missing_at_first_is_named_once(tmp_path: Path) -> None:
    source = """
    registry = CollectorRegistry()
    for each in (registry, CollectorRegistry()):
        prometheus.register(each, directory="later")
    gcctl.install("off")
    ticks(3)
    print(requests())
    os.mkdir("later")
    print(requests(), *named)
    """
    assert run(LOG + textwrap.dedent(source), tmp_path) == ["None", "3.0", "worker"]


def test_a_directory_out_of_reach_breaks_nothing(tmp_path: Path) -> None:
    source = """
    os.makedirs("locked/metrics")
    os.chmod("locked", 0)
    if not os.getuid():
        os.seteuid(65534)
    registry = CollectorRegistry()
    prometheus.register(registry, directory="locked/metrics")
    gcctl.install("off")
    ticks(3)
    print(requests())
    os.seteuid(os.getuid())
    os.chmod("locked", 0o700)
    print(requests(), *named)
    """
    assert run(LOG + textwrap.dedent(source), tmp_path) == ["None", "3.0", "worker"]


def test_a_full_disk_is_tried_no_more_often_than_any(tmp_path: Path) -> None:
    source = """
    import time
    tried = []

    def full(*arguments):
        tried.append(arguments)
        raise OSError(28, "No space left on device")

    prometheus.PUBLISH_SECONDS = 3600
    os.pwrite = full
    gcctl.install("off", check_interval=0.001)
    for _ in range(3):
        time.sleep(0.01)
        ticks(1)
    print(len(tried), *named, gcctl.stats().faults)
    """
    assert run(LOG + textwrap.dedent(source), tmp_path) == ["1", "worker", "0"]


def test_a_scrape_is_not_in_flight_for_ever(tmp_path: Path) -> None:
    source = """
    import time
    prometheus.PUBLISH_SECONDS = 3600
    gcctl.install("off", check_interval=0.001)
    with gcctl.request():
        requests()
        time.sleep(0.01)
    if not os.fork():
        lines = generate_latest(registry).decode().splitlines()
        name = 'gcctl_requests_in_flight{worker="0"} '
        print(*(line.removeprefix(name) for line in lines if line.startswith(name)), flush=True)
        os._exit(0)
    os.wait()
    """
    assert run(source, tmp_path) == ["0.0"]


LOG = """
import logging
named = []

class Keep(logging.Handler):
    def emit(self, record):
        named.append(os.path.basename(record.args[0]).split()[-1])

logging.getLogger("gcctl").addHandler(Keep())
"""

BAD_FILES = """
import json, struct, zlib
from gcctl.exporters import _record_format

def record(content):
    body = _record_format.HEAD.pack(9, len(content)) + content
    return _record_format.SEAL.pack(_record_format.MAGIC, zlib.crc32(body)) + body

others = [[], {}, [{}, {}, {}], [{}, {}, {}, {}, {}], [{"requests": 1}, {}, {}, {}]]
others += [[{"requests": {"": "1"}}, {}, {}, {}], [{}, {"0": [1, 2, 3]}, {}, {}]]
others += [[{}, {}, {"high_memory": [1]}, {}], [{}, {}, {}, {"policy": None}]]
unreadable = [record(json.dumps(other).encode()) for other in others]
unreadable += [record(b"{"), record(b"\\xff")]
harmless = [b"", b"gcctl", b"from elsewhere" * 9999, record(b"[]")[:-1]]
"""


def test_files_that_are_not_of_this_version_are_left_out_and_named_once(tmp_path: Path) -> None:
    source = """
    for number, content in enumerate(unreadable + harmless):
        with open(f"gcctl-{number + 10}.worker", "wb") as stream:
            stream.write(content)
    gcctl.install("off")
    ticks(3)
    requests()
    if not os.fork():
        ticks(5)
        requests()
        os._exit(0)
    os.wait()
    print(requests(), len(unreadable), *named)
    """
    counted, bad, *named = run(BAD_FILES + LOG + textwrap.dedent(source), tmp_path)
    assert counted == "8.0"
    assert sorted(named) == [f"gcctl-{10 + number}.worker" for number in range(int(bad))]


def test_files_that_cannot_be_opened_or_locked_are_left_out_and_named_once(tmp_path: Path) -> None:
    source = """
    import fcntl
    os.mkdir("gcctl-0.worker")
    os.mkfifo("gcctl-1.worker")
    with open("gcctl-7.worker", "wb") as locked:
        identity = os.fstat(locked.fileno())
    flock = fcntl.flock

    def without_locks(file, operation):
        if os.path.samestat(os.fstat(file), identity):
            raise OSError(37, "No locks available")
        flock(file, operation)

    fcntl.flock = without_locks
    gcctl.install("off")
    ticks(3)
    for _ in range(2):
        requests()
    print(requests(), *named)
    """
    counted, *named = run(LOG + textwrap.dedent(source), tmp_path)
    assert counted == "3.0"
    assert sorted(named) == ["gcctl-0.worker", "gcctl-7.worker"]
    assert (tmp_path / "gcctl-2.worker").stat().st_size == 16384


def test_a_file_of_another_version_that_nobody_holds_is_taken_and_begun_anew(
    tmp_path: Path,
) -> None:
    source = """
    open("gcctl-0.worker", "wb").write(unreadable[0].ljust(_record_format.FILE_BYTES, b"\\0"))
    gcctl.install("off")
    for _ in range(3):
        ticks(1)
        print(requests())
    """
    assert run(BAD_FILES + textwrap.dedent(source), tmp_path) == ["1.0", "2.0", "3.0"]
    assert [path.name for path in tmp_path.glob("*.worker")] == ["gcctl-0.worker"]


def test_without_locks_the_other_workers_are_reported(tmp_path: Path) -> None:
    assert run("gcctl.install('off')\nticks(3)\nprint(requests())", tmp_path) == ["3.0"]
    source = """
    import fcntl

    def without_locks(file, operation):
        if operation & fcntl.LOCK_EX:
            raise OSError(37, "No locks available")

    fcntl.flock = without_locks
    gcctl.install("off")
    ticks(4)
    print(requests())
    before = os.listdir("/proc/self/fd")
    print(requests(), *named, len(os.listdir("/proc/self/fd")) - len(before))
    """
    assert run(LOG + textwrap.dedent(source), tmp_path) == ["3.0", "3.0", "worker", "0"]


def test_what_a_registry_refuses_is_not_half_registered(tmp_path: Path) -> None:
    source = """
    os.mkdir("other")
    try:
        prometheus.register(registry, directory="other")
    except ValueError:
        print("refused")
    gcctl.install("off")
    ticks(3)
    gcctl.uninstall()
    print(len(os.listdir("other")))
    prometheus.register(CollectorRegistry(), directory="other")
    gcctl.install("off")
    gcctl.uninstall()
    print(len(os.listdir("other")))
    """
    assert run(source, tmp_path) == ["refused", "0", "1"]


def test_an_end_that_waits_in_vain_for_another_thread_is_counted_with_the_next_one(
    tmp_path: Path,
) -> None:
    source = """
    import threading
    from gcctl.exporters import _worker_files

    _worker_files.PATIENCE_SECONDS = 0.01
    writing, may_write = threading.Event(), threading.Event()
    pwrite = os.pwrite

    def slow_pwrite(*arguments):
        writing.set()
        may_write.wait(60)
        pwrite(*arguments)

    gcctl.install("off")
    ticks(3)
    os.pwrite = slow_pwrite
    scrape = threading.Thread(target=requests)
    scrape.start()
    writing.wait(60)
    gcctl.uninstall()
    with gcctl.install("off"):
        ticks(4)
    gcctl.install("off")
    may_write.set()
    scrape.join()
    print(requests())
    """
    assert run(source, tmp_path) == ["7.0"]


def test_an_end_that_is_interrupted_takes_no_counts_away(tmp_path: Path) -> None:
    source = """
    def interrupted(controller):
        raise KeyboardInterrupt

    gcctl.install("production")
    ticks(3)
    print(requests())
    gcctl._lifecycle.installation.Installation._collect_all = interrupted
    try:
        gcctl.uninstall()
    except KeyboardInterrupt:
        print("interrupted")
    gcctl.install("off")
    ticks(4)
    print(requests())
    """
    assert run(source, tmp_path) == ["3.0", "interrupted", "7.0"]
