"""Celery workers of each pool, with a Redis server as their broker and result store."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from paths import DOCS, SUPPORT
from processes import PATIENCE_SECONDS, run_program, wait_until

import gcctl

celery = pytest.importorskip("celery", reason="celery is not installed")
pytest.importorskip("redis", reason="redis, of celery[redis], is not installed")

REDIS = shutil.which("redis-server")
pytestmark = [
    pytest.mark.skipif(REDIS is None, reason="redis-server is not installed"),
    # Of an old kombu with a new redis, in the process that sends.
    pytest.mark.filterwarnings("ignore:Call to 'get_connection' function:DeprecationWarning"),
]
if not hasattr(os, "fork"):
    pytest.skip("no fork on this platform", allow_module_level=True)

PAGE = DOCS / "integrations" / "celery.md"

SHOP = """
import gc, json, os, signal, sys, time

from billiard.process import current_process
from celery import Celery
from celery.exceptions import Ignore
from celery.worker.control import inspect_command

import gcctl
from gcctl.integrations.celery import setup

sys.path.append(os.environ["SUPPORT"])
from frozen_count import frozen_objects

app = Celery("shop", broker=os.environ["REDIS"], backend=os.environ["REDIS"])
app.conf.update(json.loads(os.environ["SETTINGS"]), broker_connection_retry_on_startup=True)
if "INSTALLED" in os.environ:
    gcctl.install("off")
setup(app, **json.loads(os.environ["SETUP"]))
CATALOGUE = [[number] for number in range(int(os.environ.get("CATALOGUE", 0)))]


def of_this_process():
    stats = gcctl.stats()
    return {
        "pid": os.getpid(),
        "requests": stats.requests,
        "failures": stats.failures,
        "in_flight": stats.in_flight,
        "unmatched_exits": stats.unmatched_exits,
        "faults": stats.faults,
        "policy": stats.policy,
        "automatic": gc.isenabled(),
        "thresholds": gc.get_threshold(),
        "frozen": frozen_objects(),
    }


@inspect_command()
def gc_of_main_process(state):
    return of_this_process()


@app.task
def look():
    return of_this_process()


@app.task(bind=True)
def pause(self):
    before = self.request.gcctl.gc_pause_ns
    gc.collect()
    return before, self.request.gcctl.gc_pause_ns


@app.task
def fail():
    raise ValueError("no")


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retry_once(self):
    if not self.request.retries:
        raise self.retry()


@app.task
def ignore():
    raise Ignore


@app.task
def leave():
    raise SystemExit(3)


@app.task
def add(first, second):
    return first + second


@app.task
def apply_others():
    add.apply((1, 2))
    fail.apply()
    add(1, 2)


@app.task
def nap(seconds):
    time.sleep(seconds)


@app.task(acks_late=True)
def add_acknowledged_late(first, second):
    return first + second


@app.task
def kill_myself_while_a_child_collects():
    gcctl.collect_concurrently()
    os.kill(os.getpid(), signal.SIGKILL)


class Garbage:
    def __init__(self, path):
        self.me = self
        self.path = path

    def __del__(self):
        open(self.path, "w").close()


@app.task
def leave_in_generation_1(path):
    garbage = Garbage(path)
    gc.collect(0)


@app.task
def owe_without_end(seconds, path):
    asked_to_end = current_process()._target._shutdown

    def idle():
        if asked_to_end.is_set():
            with open(path, "a") as calls:
                calls.write("x")
        return 0.1

    gcctl._lifecycle.install.idle = idle
    time.sleep(seconds)
    return os.getpid()


@app.task
def touch_all():
    def private():
        with open("/proc/self/smaps_rollup") as lines:
            return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

    before = private()
    gc.collect()
    return (private() - before) * 1024
"""


class Worker:
    """`celery worker`, in a process group and with a queue of its own."""

    def __init__(
        self,
        directory: Path,
        redis: str,
        name: str,
        *options: str,
        settings: dict[str, Any] | None = None,
        setup: dict[str, Any] | None = None,
        module: str = SHOP,
        app: str = "shop",
        **environment: str,
    ) -> None:
        self.name = name
        (directory / f"{app}.py").write_text(module.replace("redis://localhost", redis))
        self.log_path = directory / f"{name}.log"
        self.sent = 0
        self.client = celery.Celery("client", broker=redis, backend=redis, set_as_current=False)
        environment |= {
            "REDIS": redis,
            "SUPPORT": str(SUPPORT),
            "SETTINGS": json.dumps(settings or {}),
            "SETUP": json.dumps(setup or {}),
        }
        command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", app, "worker"]
        command += ["-Q", name, "-n", f"{name}@here", "-l", "INFO", "--without-mingle", *options]
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def send(self, task: str, *args: object, **options: Any) -> Any:
        self.sent += 1
        return self.client.send_task(f"shop.{task}", args, queue=self.name, **options)

    def run(self, task: str, *args: object, **options: Any) -> Any:
        return self.send(task, *args, **options).get(timeout=PATIENCE_SECONDS)

    def look(self) -> dict[str, Any]:
        """What a task sees in its process when all others sent have had their boundary."""
        seen: dict[str, Any] = {}

        def all_others_are_over() -> bool:
            seen.update(self.run("look"))
            return bool(seen["requests"] == self.sent - 1)

        wait_until(all_others_are_over, f"{self.sent} sent: {seen}\n{self.log}")
        return seen

    def main_process(self) -> dict[str, Any]:
        self.run("look")  # until it is there
        (answer,) = self.client.control.broadcast(
            "gc_of_main_process", destination=[f"{self.name}@here"], reply=True, timeout=10, limit=1
        )
        answers: dict[str, Any] = answer[f"{self.name}@here"]
        return answers

    def processes(self) -> set[int]:
        """The pids of its group."""
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it has ended meanwhile
                continue
            if int(group) == self.process.pid and state != "Z":
                found.add(int(entry.name))
        return found

    def terminate(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> str:
        """Warm shutdown; its log."""
        self.terminate()
        try:
            self.process.wait(PATIENCE_SECONDS)
        finally:
            if self.processes():
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.client.close()
        return self.log


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("redis")
    socket = directory / "socket"
    command = [str(REDIS), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    server = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
    try:
        wait_until(socket.exists)
        yield f"redis+socket://{socket}"
    finally:
        # Results that an exception's traceback still holds would have the server forget them.
        with suppress(AttributeError):
            del celery.result.AsyncResult.__del__
        server.terminate()
        server.wait()


Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def start(redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    directory = tmp_path_factory.mktemp("celery")
    with ExitStack() as ends:
        # Asked to end all at once, last of all waited for.
        workers: list[Worker] = []

        def start(name: str, *options: str, **rest: Any) -> Worker:
            worker = Worker(directory, redis, name, *options, **rest)
            workers.append(worker)
            ends.callback(worker.stop)
            return worker

        yield start
        for worker in workers:
            worker.terminate()


POOLS = {"prefork": ("-c", "1"), "threads": ("-c", "2"), "solo": (), "gevent": ("-c", "2")}


@pytest.fixture(scope="module")
def workers(start: Start) -> dict[str, Worker]:
    """One for each pool, started all at once."""
    pools = [pool for pool in POOLS if pool != "gevent" or find_spec("gevent")]
    return {pool: start(pool, "-P", pool, *POOLS[pool]) for pool in pools}


@pytest.fixture(params=POOLS)
def worker(request: pytest.FixtureRequest, workers: dict[str, Worker]) -> Worker:
    if request.param not in workers:
        pytest.skip("gevent is not installed")
    return workers[request.param]


RECYCLED = {"recycle_after_requests": 2, "recycle_jitter": 0}


@pytest.fixture(scope="module", autouse=True)
def recycled(start: Start) -> tuple[Worker, list[Any]]:
    """One whose child is to be recycled after two tasks, and the results of four."""
    worker = start("recycled", "-P", "prefork", "-c", "1", setup=RECYCLED)
    return worker, [worker.send("look") for _ in range(4)]


@pytest.fixture(scope="module", autouse=True)
def kept(start: Start) -> Worker:
    return start("kept", "-P", "prefork", "-c", "1", setup=RECYCLED | {"recycle": False})


@pytest.fixture(scope="module", autouse=True)
def page(start: Start) -> Worker:
    """One with the example of the documentation."""
    example = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)[0]
    return start("page", "-P", "prefork", "-c", "1", app="page", module=example)


@pytest.fixture(scope="module", autouse=True)
def prefork(start: Start) -> Worker:
    """One with two children and 300,000 objects, 18 MiB, from before the fork."""
    restarts = {"worker_pool_restarts": True}
    return start("forks", "-P", "prefork", "-c", "2", settings=restarts, CATALOGUE="300000")


EMBEDDED = """
import gc

import gcctl
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from gcctl.integrations.celery import setup

app = Celery("shop", broker="memory://", backend="cache+memory://")
setup(app)

@app.task
def look():
    return gcctl.stats().policy, gcctl.stats().in_flight

found = gc.get_threshold(), gc.isenabled(), len(signals.worker_shutdown.receivers)
with start_worker(app, perform_ping_check=False, loglevel="ERROR"):
    print(*look.delay().get(timeout=60))
left = gc.get_threshold(), gc.isenabled(), len(signals.worker_shutdown.receivers)
print(left == found, gcctl.stats().policy)
"""


@pytest.fixture(scope="module", autouse=True)
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A program with a worker in a thread, as Celery's own pytest plugin has it. It takes five
    seconds to end, meanwhile the others are tested."""
    program = tmp_path_factory.mktemp("embedded") / "program.py"
    program.write_text(EMBEDDED)
    command = [sys.executable, "-W", "ignore", str(program)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        yield process
        process.kill()


class TestEachPool:
    def test_each_task_is_one_request(self, worker: Worker) -> None:
        before = worker.look()
        assert worker.run("add", 1, 2) == 3
        assert worker.run("add_acknowledged_late", 1, 2) == 3
        after = worker.look()
        assert after["policy"] == "auto"
        assert after["failures"] == before["failures"]
        assert after["in_flight"] == 1, "the task that looks"
        assert after["unmatched_exits"] == after["faults"] == 0

    def test_a_task_that_fails_is_a_request_that_fails(self, worker: Worker) -> None:
        before = worker.look()
        with pytest.raises(ValueError, match="no"):
            worker.run("fail")
        assert worker.look()["failures"] == before["failures"] + 1

    def test_a_retry_is_another_request_and_no_failure(self, worker: Worker) -> None:
        before = worker.look()
        worker.run("retry_once")
        worker.sent += 1
        worker.send("ignore")
        assert worker.look()["failures"] == before["failures"]

    def test_tasks_applied_within_a_task_belong_to_it(self, worker: Worker) -> None:
        before = worker.look()
        worker.run("apply_others")
        after = worker.look()
        assert after["failures"] == before["failures"]

    def test_the_pause_within_a_task(self, worker: Worker) -> None:
        before, after = worker.run("pause")
        assert after > before

    def test_each_of_a_chain_is_a_request(self, worker: Worker) -> None:
        worker.look()
        one = worker.client.signature("shop.add", (1, 2), queue=worker.name)
        two = worker.client.signature("shop.add", (3,), queue=worker.name)
        worker.sent += 2
        assert (one | two).apply_async().get(timeout=PATIENCE_SECONDS) == 6
        worker.look()

    def test_a_revoked_task_is_none(self, worker: Worker) -> None:
        from celery.exceptions import TaskRevokedError

        worker.look()
        task_id = celery.uuid()
        worker.client.control.revoke(task_id, destination=[f"{worker.name}@here"], reply=True)
        with pytest.raises(TaskRevokedError):
            worker.run("look", task_id=task_id)
        worker.sent -= 1
        worker.look()

    def test_idle_work_is_done_while_no_task_comes(self, worker: Worker, tmp_path: Path) -> None:
        if "gevent" in worker.name:
            pytest.skip("Celery has no event loop of its own there")
        worker.run("leave_in_generation_1", str(tmp_path / "collected"))
        wait_until((tmp_path / "collected").exists)

    def test_the_report_is_in_the_log_when_the_worker_has_ended(
        self, workers: dict[str, Worker], worker: Worker
    ) -> None:
        """The last of this class: it stops them."""
        sent = worker.sent
        for each in workers.values():
            each.terminate()
        log = worker.stop()
        assert worker.process.returncode == 0, log
        (requests,) = re.findall(r"\] gcctl +policy auto, .*\nrequests +([\d,]+)", log)
        assert int(requests.replace(",", "")) == sent
        assert "Traceback" not in log.replace("raised unexpected: ValueError('no')\nTraceback", "")


class TestPrefork:
    def test_the_main_process_is_as_celery_made_it(self, prefork: Worker) -> None:
        main = prefork.main_process()
        assert main["policy"] is None
        assert main["automatic"]
        assert main["thresholds"] == list(gc.get_threshold())

    def test_off_freezes_nothing(self, start: Start) -> None:
        worker = start("off", "-P", "prefork", "-c", "1", setup={"policy": "off"})
        assert worker.main_process()["frozen"] <= 1000
        assert worker.run("look")["policy"] == "off"

    def test_children_go_on_sharing_what_was_there_before_the_fork(self, prefork: Worker) -> None:
        assert prefork.main_process()["frozen"] > 300_000
        results = [prefork.send("touch_all") for _ in range(4)]
        for result in results:
            assert result.get(timeout=PATIENCE_SECONDS) < 4 * 2**20

    def test_a_child_that_is_killed_leaves_nothing(self, prefork: Worker) -> None:
        before = prefork.run("look")["pid"], prefork.run("look")["pid"]
        lost = prefork.send("kill_myself_while_a_child_collects")
        with pytest.raises(Exception, match=r"[Ww]orker exited prematurely"):
            lost.get(timeout=PATIENCE_SECONDS)
        wait_until(lambda: len(prefork.processes()) == 3, "the main process and two children")
        pids = {prefork.run("look")["pid"] for _ in range(20)}
        assert pids <= prefork.processes()
        assert pids - set(before), "one that was started in its place"

    def test_what_is_left_is_collected_while_no_task_comes(
        self, prefork: Worker, tmp_path: Path
    ) -> None:
        prefork.run("leave_in_generation_1", str(tmp_path / "collected"))
        wait_until((tmp_path / "collected").exists)

    def test_a_hard_time_limit(self, prefork: Worker) -> None:
        with pytest.raises(celery.exceptions.TimeLimitExceeded):
            prefork.run("nap", PATIENCE_SECONDS, time_limit=1)
        wait_until(lambda: len(prefork.processes()) == 3, "the main process and two children")
        assert all(prefork.run("look")["policy"] == "auto" for _ in range(4))

    def test_a_soft_time_limit_is_a_failure(self, prefork: Worker) -> None:
        with pytest.raises(celery.exceptions.SoftTimeLimitExceeded):
            prefork.run("nap", PATIENCE_SECONDS, soft_time_limit=1)
        results = [prefork.send("look") for _ in range(8)]
        assert any(result.get(timeout=PATIENCE_SECONDS)["failures"] == 1 for result in results)

    def test_a_task_that_leaves_its_process(self, prefork: Worker) -> None:
        result = prefork.send("leave")
        with suppress(BaseException):  # billiard up to 4.2 makes no result of it
            result.get(timeout=2)
        assert prefork.run("look")["faults"] == 0

    def test_children_with_work_left_for_idle_times_end_when_they_are_asked_to(
        self, prefork: Worker, tmp_path: Path
    ) -> None:
        """The last of this class: they are replaced."""
        calls = tmp_path / "calls"
        pids: set[int] = set()

        def both() -> bool:
            owing = [prefork.send("owe_without_end", 0.5, str(calls)) for _ in range(2)]
            pids.update(result.get(timeout=PATIENCE_SECONDS) for result in owing)
            return len(pids) == 2

        wait_until(both)  # one that has left is replaced after a while
        prefork.client.control.broadcast("pool_restart", destination=[f"{prefork.name}@here"])
        wait_until(lambda: not pids & prefork.processes(), "the children are still there")
        # Each may have looked just before it was asked.
        assert not calls.exists() or len(calls.read_text()) <= 2


@pytest.fixture(scope="module")
def configured(start: Start) -> dict[str, Worker]:
    """One for each configuration, started all at once."""
    return {
        "configured": start(
            "configured",
            *("-P", "solo"),
            settings={"gcctl": {"thresholds": [2000, 20, 20], "policy": "production"}},
            setup={"policy": "conservative"},
            GCCTL_AUTOMATIC_GC="yes",
            GCCTL_THRESHOLDS="3000,30,30",
        ),
        "wrong": start("wrong", settings={"gcctl": {"max_pause": "long"}}),
        "disabled": start("disabled", "-P", "solo", GCCTL_DISABLE="1"),
        "twice": start("twice", "-P", "solo", INSTALLED="1"),
        "by itself": start("by_itself", "-P", "solo", settings={"gcctl": None}, INSTALLED="1"),
        "without": start("without", "-P", "solo", settings={"gcctl": None}),
    }


class TestConfiguration:
    def test_setting_of_the_app_environment_and_arguments(
        self, configured: dict[str, Worker]
    ) -> None:
        worker = configured["configured"]
        look = worker.look()
        assert (look["policy"], look["thresholds"]) == ("conservative", [2000, 20, 20])
        assert look["automatic"]

    def test_a_bad_one_keeps_the_worker_from_starting(self, configured: dict[str, Worker]) -> None:
        worker = configured["wrong"]
        assert worker.process.wait(PATIENCE_SECONDS) != 0
        assert "ConfigError: max_pause: 'long' is not accepted" in worker.log

    def test_disabled(self, configured: dict[str, Worker]) -> None:
        look = configured["disabled"].run("look")
        assert look["policy"] is None
        assert look["frozen"] < 1000

    @pytest.mark.parametrize("name", ["twice", "by itself"])
    def test_where_the_program_has_installed_it(
        self, configured: dict[str, Worker], name: str
    ) -> None:
        assert configured[name].look()["policy"] == "off"

    def test_not_installed_tasks_are_no_requests(self, configured: dict[str, Worker]) -> None:
        look = configured["without"].run("look")
        assert (look["policy"], look["requests"], look["in_flight"]) == (None, 0, 0)

    def test_what_is_in_the_log_when_they_have_ended(self, configured: dict[str, Worker]) -> None:
        for worker in configured.values():
            worker.terminate()
        logs = {name: worker.stop() for name, worker in configured.items()}
        assert "gcctl         policy conservative" in logs["configured"]
        assert "gcctl is disabled by GCCTL_DISABLE" in logs["disabled"]
        assert "requests   " not in logs["disabled"]
        assert "it is installed already" in logs["twice"]
        assert "it is installed already" not in logs["by itself"]

    def test_setting_up_twice_changes_nothing(self) -> None:
        from gcctl.integrations.celery import setup

        app = celery.Celery("shop", set_as_current=False)
        for _ in range(2):
            setup(app, policy="off")
        assert len(app.steps["worker"]) == 1
        setup(celery.Celery("other", set_as_current=False), policy="auto")

    @pytest.mark.parametrize("other", [{}, {"policy": "auto"}, {"policy": "off", "freeze": False}])
    def test_setting_up_in_another_way_is_an_error(self, other: dict[str, Any]) -> None:
        from gcctl.integrations.celery import setup

        app = celery.Celery("shop", set_as_current=False)
        setup(app, policy="off")
        with pytest.raises(gcctl.GcctlError, match=r"shop.*'policy': 'off'.* not .*'freeze'"):
            setup(app, **other)


def test_a_process_that_only_sends_is_left_alone(tmp_path: Path) -> None:
    """A web request that runs a task in place of sending it is one request."""
    out = run_program(
        """
        import gcctl
        from celery import Celery, signals
        from gcctl.integrations.celery import setup

        app = Celery("shop", broker="memory://", backend="cache+memory://")
        app.conf.task_always_eager = True
        setup(app)

        @app.task
        def nothing():
            pass

        nothing.delay()
        print(len(signals.task_prerun.receivers), gcctl.stats().policy)
        with gcctl.install():
            with gcctl.request():
                nothing.delay()
                print(gcctl.stats().in_flight, gcctl.stats().requests)
            print(gcctl.stats().requests)
        """,
        tmp_path,
    )
    assert out == "0 None\n1 0\n1\n"


@pytest.fixture(scope="module")
def ending(
    recycled: tuple[Worker, list[Any]], kept: Worker, page: Worker, prefork: Worker
) -> dict[str, list[Any]]:
    """What the workers have answered that are all about to end now."""
    total = page.client.send_task("page.total", [[1, 2]], queue="page")
    answers = {
        "recycled": [result.get(timeout=PATIENCE_SECONDS) for result in recycled[1]],
        "kept": [kept.run("look") for _ in range(3)],
        "page": [total.get(timeout=PATIENCE_SECONDS)],
    }
    for worker in (recycled[0], kept, page, prefork):
        worker.terminate()
    return answers


class TestEnds:
    """The last, for Celery takes five seconds until it starts another child, two to end."""

    def test_a_child_ends_after_the_task_in_hand(
        self, recycled: tuple[Worker, list[Any]], ending: dict[str, list[Any]]
    ) -> None:
        seen = ending["recycled"]
        assert sorted(look["requests"] for look in seen) == [0, 0, 1, 1]
        assert len({look["pid"] for look in seen}) == 2
        log = recycled[0].stop()
        assert log.count("this worker should be recycled: 2 requests served") == 2
        assert len(re.findall(r"\] gcctl +policy auto", log)) >= 2
        assert "ERROR" not in log

    def test_not_where_that_is_not_wanted(self, kept: Worker, ending: dict[str, list[Any]]) -> None:
        assert len({look["pid"] for look in ending["kept"]}) == 1
        assert "this worker should be recycled" in kept.stop()

    def test_the_example_of_the_page(self, page: Worker, ending: dict[str, list[Any]]) -> None:
        assert ending["page"] == [3]
        log = page.stop()
        assert re.search(r"page\.total: \d+\.\d ms of GC", log), log
        assert "gcctl         policy auto" in log


def test_a_worker_in_a_thread_leaves_the_process_as_it_was(
    embedded: subprocess.Popen[str],
) -> None:
    out, errors = embedded.communicate(timeout=PATIENCE_SECONDS)
    assert out == "auto 1\nTrue None\n", errors
