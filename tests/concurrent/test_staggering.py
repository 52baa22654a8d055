"""Full collections of several processes, one after the other."""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import windows
from concurrent_collections import concurrent_only
from processes import in_child, needs_fork, wait_until

import gcctl
from gcctl._concurrent import staggering
from gcctl._concurrent.staggering import HAS_LOCKS, MOST_WAIT_NS, InTurn, Token, Turn, turn

pytestmark = [
    needs_fork,
    pytest.mark.skipif(not HAS_LOCKS, reason="no record locks on this system"),
]

NAMED, NAMELESS = "named", "nameless"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture(params=[NAMED, NAMELESS])
def token(request: pytest.FixtureRequest, path: str) -> Iterator[Token]:
    token = Token.at(path, others=True) if request.param == NAMED else Token.without_name()
    yield token
    token.close()


@pytest.fixture
def held(path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the token of the path, until it is killed."""
    with program(HOLDER, path) as process:
        yield process
        process.kill()


def program(source: str, *arguments: object) -> subprocess.Popen[str]:
    """One that has begun to do what it is for."""
    process = subprocess.Popen(
        [sys.executable, "-Ic", source, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


HOLDER = """
import sys
from gcctl._concurrent.staggering import Token
token = Token.at(sys.argv[1], others=True)
assert token.take()
print("begun", flush=True)
sys.stdin.read()
"""


class TestToken:
    def test_one_process_at_a_time_has_it(self, token: Token) -> None:
        assert token.take()
        assert in_child(token.take) == "False"
        token.give_back()
        assert in_child(token.take) == "True"
        assert token.take(), "the child that had it has ended"

    def test_a_forked_child_neither_has_it_nor_gives_it_back(self, token: Token) -> None:
        def child() -> object:
            token.give_back()
            token.close()
            return "done"

        assert token.take()
        assert in_child(child) == "'done'"
        assert in_child(token.take) == "False"

    def test_it_does_not_stay_with_the_children_of_a_holder_that_is_killed(
        self, token: Token
    ) -> None:
        reader, writer = os.pipe()
        holder = os.fork()
        if not holder:
            token.take()
            if os.fork():
                os.write(writer, b"x")
            time.sleep(3600)  # the child has the descriptor too, and lives on
        group = os.getpgid(holder)
        os.read(reader, 1)
        assert not token.take()
        children = Path(f"/proc/{holder}/task/{holder}/children").read_text().split()
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        try:
            assert token.take()
        finally:
            assert group == os.getpgid(0)
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            os.close(reader)
            os.close(writer)

    def test_it_is_free_once_its_holder_is_killed(
        self, path: str, held: subprocess.Popen[str]
    ) -> None:
        token = Token.at(path, others=True)
        assert not token.take()
        held.kill()
        held.wait()
        assert token.take()
        assert os.path.getsize(path) == 0
        token.close()

    def test_a_file_that_was_removed_is_made_anew(self, path: str) -> None:
        first, second = Token.at(path, others=True), Token.at(path, others=True)
        os.unlink(path)
        assert first.take()
        assert in_child(second.take) == "False", "both have found to the new file"
        first.close()
        second.close()

    def test_somebody_who_closes_all_descriptors_takes_none_of_others_with_it(
        self, token: Token, tmp_path: Path
    ) -> None:
        def child() -> object:
            descriptor = token._descriptor
            os.close(descriptor)
            # The next file need not get the same number: fork hooks have closed others too.
            os.dup2(os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT), descriptor)
            token.give_back()
            try:
                return token.take(), os.fstat(descriptor).st_size
            except OSError as error:
                return error.args
            finally:
                token.close()
                os.fstat(descriptor)

        assert in_child(child) in ("(True, 0)", "(9, 'its descriptor was closed')")

    @pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
    def test_only_a_regular_file_will_do(self, kind: str, path: str, tmp_path: Path) -> None:
        {
            "directory": lambda: os.mkdir(path),
            "fifo": lambda: os.mkfifo(path),
            "link": lambda: os.symlink(tmp_path / "other", path),
        }[kind]()
        with pytest.raises(OSError, match=r"."):
            Token.at(path, others=True)


class TestTurn:
    def test_it_always_comes_where_nothing_staggers(self) -> None:
        assert Turn().comes(0)

    def test_who_waits_goes_ahead_in_the_end(self, path: str, held: subprocess.Popen[str]) -> None:
        mine = Turn()
        mine.installed(path)
        assert not mine.comes(0)
        assert not mine.comes(MOST_WAIT_NS - 1)
        assert mine.comes(MOST_WAIT_NS)
        assert mine.went_ahead == 1
        held.kill()
        held.wait()
        assert mine.comes(0)
        mine.uninstalled()

    def test_it_lasts_until_it_is_over(self, path: str) -> None:
        mine, other = Turn(), Turn()
        mine.installed(path)
        other.installed(path)
        assert mine.comes(0)
        assert in_child(lambda: other.comes(0)) == "False"
        mine.over()
        assert in_child(lambda: other.comes(0)) == "True"
        mine.over()
        mine.uninstalled()
        other.uninstalled()

    def test_a_master_shares_a_file_without_a_name(self) -> None:
        mine = Turn()
        mine.share_with_children()
        mine.installed("auto")
        assert mine.comes(0)
        assert in_child(lambda: mine.comes(0)) == "False"
        mine.uninstalled()

    def test_where_the_lock_breaks_nothing_is_staggered_any_more(
        self, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        mine = Turn()
        mine.installed(path)
        os.unlink(path)
        os.mkdir(path)
        with caplog.at_level(logging.WARNING, "gcctl"):
            assert mine.comes(0)
            assert mine.comes(0)
        assert [record.message for record in caplog.records] == [
            f"full collections are no longer staggered: [Errno 21] Is a directory: {path!r}"
        ]
        mine.uninstalled()

    def test_auto_is_a_file_of_this_user(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        with gcctl.install("off", stagger="auto"):
            assert (tmp_path / "gcctl.lock").stat().st_mode & 0o777 == 0o600
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert staggering.path_of_user().endswith(f"gcctl-{os.geteuid()}.lock")

    @pytest.mark.parametrize("umask", [0o077, 0o022, 0])
    def test_the_file_of_a_path_is_for_every_user(self, umask: int, path: str) -> None:
        before = os.umask(umask)
        try:
            with gcctl.install("off", stagger=path):
                assert os.stat(path).st_mode & 0o777 == 0o666
        finally:
            os.umask(before)

    def test_one_that_was_there_keeps_its_mode(self, path: str) -> None:
        Path(path).touch(0o640)
        os.chmod(path, 0o640)
        with gcctl.install("off", stagger=path):
            assert os.stat(path).st_mode & 0o777 == 0o640

    @pytest.mark.skipif("os.geteuid() != 0", reason="only root can be another user")
    def test_workers_of_several_users_take_turns(self) -> None:
        def comes_to(user: int) -> str:
            def child() -> object:
                os.setuid(user)
                mine = Turn()
                mine.installed(lock)
                return mine.comes(0)

            return in_child(child)

        # Where anybody may make files, and nobody remove those of others; not below pytest's
        # directories, which are root's alone.
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o1777)
            lock = f"{directory}/lock"
            before = os.umask(0o077)
            try:
                assert comes_to(65534) == "True"
                assert os.stat(lock).st_uid == 65534
                mine = Turn()
                mine.installed(lock)
                assert mine.comes(0)
                assert comes_to(65533) == "False"
                mine.over()
                assert comes_to(65533) == "True"
                mine.uninstalled()
            finally:
                os.umask(before)

    def test_a_file_that_cannot_be_used_is_an_error(self, tmp_path: Path) -> None:
        before = gc.get_threshold(), gc.isenabled()
        with pytest.raises(gcctl.GcctlError, match=r"stagger=.*cannot be used as a lock file"):
            gcctl.install("production", stagger=tmp_path)
        assert (gc.get_threshold(), gc.isenabled()) == before
        assert gcctl.stats().policy is None

    def test_uninstalling_closes_the_file(self, path: str) -> None:
        gcctl.stats()  # opens what gcctl reads memory by
        gc.collect()  # closes files that earlier tests have left in cycles
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with gcctl.install("off", stagger=path):
                assert turn.comes(0)
        assert len(os.listdir("/proc/self/fd")) == before
        assert in_child(lambda: Token.at(path, others=True).take()) == "True"


class TestSchedules:
    def test_a_full_collection_that_is_due_waits_for_its_turn(
        self, path: str, held: subprocess.Popen[str]
    ) -> None:
        gcctl.install("production", gen2_every=3, stagger=path, check_interval="1ms")
        for _ in range(10):
            gcctl.tick()
        assert gcctl.stats().collections_by_generation[2] == 0
        held.kill()
        held.wait()
        serve_until(lambda: gcctl.stats().collections_by_generation[2])
        assert gcctl.stats().collections_by_generation[2] == 1

    def test_others_do_not_wait(self, path: str, held: subprocess.Popen[str]) -> None:
        gcctl.install("production", gen2_every=3, stagger=path, memory_limit=1)
        gcctl.check_memory()
        with suppress(ValueError), gcctl.request():
            raise ValueError
        gc.collect()
        reasons = gcctl.stats().collections_by_reason
        assert (reasons.pressure > 0, reasons.emergency, reasons.explicit) == (True, 1, 1)

    def test_one_that_could_not_begin_is_owed(self) -> None:
        answers = [False, True]
        begun: list[bool] = []

        def begin() -> bool:
            begun.append(answers.pop(0))
            return begun[-1]

        mine = InTurn(begin, lambda: 0)
        mine.begin_waiting(1)
        mine.due(2)
        mine.begin_waiting(3)
        mine.begin_waiting(4)
        assert begun == [False, True]

    def test_one_that_waited_is_the_one_that_comes_due_with_its_turn(self) -> None:
        begun: list[int] = []
        boundary = 1

        def begin() -> bool:
            begun.append(boundary)
            return True

        mine = InTurn(begin, lambda: boundary)
        with turn_of_another():
            mine.due(1)
        boundary = 2
        mine.begin_waiting(2)
        mine.due(2)
        boundary = 3
        mine.due(3)
        assert begun == [2, 3]


@contextmanager
def turn_of_another() -> Iterator[None]:
    """It does not come for this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turn, "comes", lambda waited_ns: False)
        yield


def serve_until(done: Callable[[], object]) -> None:
    def serve() -> object:
        with gcctl.request():
            pass
        return done()

    wait_until(serve)


WORKER = f"""
import sys
sys.path.insert(0, {str(Path(windows.__file__).parent)!r})
"""
WORKER += """
import json, time
import gcctl
from gcctl._auto import debt
from gcctl._auto import full_collections
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import turn
from windows import hurry

debt.SHORTEST_NS = {1: 0, 2: 0}
full_collections.ROUTINE_NS = full_collections.QUIET_NS = 0
heap = [{"a": [number]} for number in range(50_000)]
policy, path, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
fixed = {"gen2_every": 2} if policy != "auto" else {}
controller = gcctl.install(policy, stagger=path, check_interval="1ms", gc_budget=1.0, **fixed)
print("begun", flush=True)
fulls, began = [], 0
while len(fulls) < wanted:
    with gcctl.request():
        kept = [[] for _ in range(1000)]
        kept.append(kept)
    now = time.monotonic_ns()
    if coordinator.running is not None:
        began = began or now
        ended = now
        hurry()  # these are more than there are processors
    elif began:
        fulls.append((began, ended))
        began = 0
    if policy != "auto":
        fulls = [
            (event.time_ns, event.time_ns + event.pause_ns)
            for event in controller.events()
            if event.generation == 2
        ]
    time.sleep(0.0002)
print(json.dumps([fulls, turn.went_ahead]), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("policy", ["production", pytest.param("auto", marks=concurrent_only)])
@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_no_two_workers_run_full_collections_at_the_same_time(
    policy: str, workers: int, path: str
) -> None:
    processes = [program(WORKER, policy, path, 4) for _ in range(workers)]
    intervals: list[tuple[int, int]] = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        fulls, went_ahead = json.loads(out)
        assert went_ahead == 0
        intervals += fulls
    for (_, ended), (began, _) in pairwise(sorted(intervals)):
        assert ended <= began
    assert len(intervals) >= 4 * workers
    assert os.path.getsize(path) == 0


@pytest.mark.parametrize(
    "policy", ["production", pytest.param("auto", marks=[concurrent_only, pytest.mark.slow])]
)
def test_a_worker_killed_at_any_moment_leaves_the_token_free(policy: str, path: str) -> None:
    token = Token.at(path, others=True)
    chance = random.Random(1)
    for _ in range(8):
        process = program(WORKER, policy, path, 10**9)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
        assert token.take()
        token.give_back()
    token.close()
    assert os.path.getsize(path) == 0
