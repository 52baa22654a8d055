"""One warning where a service is at work and no boundary comes: its middleware was forgotten."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import ModuleType

import pytest
from processes import run_program

import gcctl
from gcctl._interpreter.mechanisms import missing
from gcctl._monitor import no_requests
from gcctl._monitor.no_requests import INTERVAL_NS, LOADING_NS, SECOND_NS, SILENT_NS, NoRequests

WARNING = "no request has ended since gcctl was installed"


class Process:
    """A process whose time passes when a test says so."""

    def __init__(self, policy: str = "auto") -> None:
        self.now_ns = 10**15
        self.cpu_ns = 0
        self.boundaries = 0
        self.serves = True
        self.asked = 0
        self.watch = NoRequests(
            policy, lambda: self.boundaries, lambda: self.now_ns, lambda: self.cpu_ns, self._serves
        )

    def _serves(self) -> bool:
        self.asked += 1
        return self.serves

    def run(self, seconds: float, share: float) -> None:
        """Use that share of a CPU, with a check every second."""
        for _ in range(int(seconds)):
            self.now_ns += SECOND_NS
            self.cpu_ns += int(SECOND_NS * share)
            self.watch.check()


@pytest.mark.parametrize("policy", ["auto", "instagram", "production", "conservative"])
def test_a_service_at_work_is_warned_of_once(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    process = Process(policy)
    process.run(SILENT_NS / SECOND_NS - 1, 0.5)
    assert WARNING not in caplog.text
    process.run(3600, 0.5)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{WARNING}, 30 s ago")
    assert f"policy '{policy}'" in record.getMessage()
    assert not process.watch.is_due()


def test_off_only_counts(caplog: pytest.LogCaptureFixture) -> None:
    process = Process("off")
    process.run(3600, 1.0)
    assert not caplog.records
    assert not process.watch.is_due()


def test_one_boundary_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    process.run(20, 1.0)
    process.boundaries = 1
    process.run(3600, 1.0)
    assert not caplog.records
    assert not process.watch.is_due()


def test_a_process_that_waits_is_no_service_at_work(caplog: pytest.LogCaptureFixture) -> None:
    """Such as a master, which loads the application and then only watches its workers."""
    process = Process()
    process.run(LOADING_NS / SECOND_NS - 1, 1.0)
    process.run(24 * 3600, 0.001)
    assert not caplog.records
    process.run(60, 0.5)
    assert len(caplog.records) == 1


def test_a_program_that_serves_nothing_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    process.serves = False
    process.run(600, 1.0)
    assert not caplog.records
    assert process.asked <= 600 * SECOND_NS / INTERVAL_NS


def test_checks_that_are_far_apart(caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    for _ in range(2):
        process.now_ns += 3600 * SECOND_NS
        process.cpu_ns += 360 * SECOND_NS
        assert process.watch.is_due()
        process.watch.check()
        assert not process.watch.is_due()
    assert len(caplog.records) == 1


def test_a_forked_child_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    process.run(60, 1.0)
    process.watch.begin()
    process.run(20, 1.0)
    assert len(caplog.records) == 1
    process.run(20, 1.0)
    assert len(caplog.records) == 2


class TestWhoServes:
    def test_a_server_s_module_and_a_listening_socket(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in no_requests.SERVERS:
            monkeypatch.delitem(sys.modules, name, raising=False)
        assert not no_requests._serves()
        monkeypatch.setitem(sys.modules, "uvicorn.server", ModuleType("uvicorn.server"))
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            listened = no_requests._listens()
            server.listen()
            assert no_requests._serves()
            server.setblocking(False)
            no_requests._listens()
            assert server.getblocking() is False
        if sys.platform == "linux":
            assert no_requests._listens() is listened

    @pytest.mark.skipif(sys.platform != "linux", reason="descriptors are found through /proc")
    def test_a_program_that_has_no_such_socket(self, tmp_path: Path) -> None:
        out = run_program(
            """
import os, socket
socket.setdefaulttimeout(5)
from gcctl._interpreter.mechanisms import missing
from gcctl._monitor import no_requests
pair = socket.socketpair()
reader, writer = os.pipe()
client = socket.socket()
print(no_requests._listens())
unix = socket.socket(socket.AF_UNIX)
unix.bind("listens")
unix.listen()
print(no_requests._listens(), [each.fileno() >= 0 for each in (*pair, client, unix)])
""",
            tmp_path,
        )
        assert out == "False\nTrue [True, True, True, True]\n"


@pytest.mark.parametrize("policy", ["auto", "production"])
def test_in_a_real_process(
    policy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Statistics are asked for, as an exporter does; a busy service has idle work too."""
    monkeypatch.setattr(no_requests, "LOADING_NS", 0)
    monkeypatch.setattr(no_requests, "INTERVAL_NS", 0)
    monkeypatch.setattr(no_requests, "SILENT_NS", 0)
    monkeypatch.setattr(no_requests, "ACTIVE", 0.0)
    monkeypatch.setattr(no_requests, "_serves", lambda: True)
    with gcctl.install(policy):
        for _ in range(5):
            gcctl.stats()
        assert caplog.text.count(WARNING) == 1
        assert gcctl.stats().faults == 0


PROGRAM = """
import asyncio, io, sys, time
from gcctl._interpreter.mechanisms import missing
from gcctl._monitor import no_requests
no_requests.LOADING_NS = no_requests.INTERVAL_NS = 10**7
no_requests.SILENT_NS = 3 * 10**7
no_requests._serves = lambda: True
import gcctl

sys.stderr = log = io.StringIO()
until = time.monotonic() + 30

def garbage():
    for _ in range(1000):
        node = []
        node.append(node)

def waits():
    return not log.getvalue() and time.monotonic() < until

async def serve():
    gcctl.install({policy!r}, monitoring=False)
    while waits():
        garbage()
        await asyncio.sleep(0)

if {loop}:
    asyncio.run(serve())
else:
    gcctl.install({policy!r}, monitoring=False)
    while waits():
        garbage()
gcctl.uninstall()
print(log.getvalue().count({warning!r}))
"""


@pytest.mark.parametrize("policy", ["auto", "production"])
@pytest.mark.parametrize("loop", [True, False], ids=["event loop", "main thread"])
def test_nobody_need_ask_for_statistics(policy: str, loop: bool, tmp_path: Path) -> None:
    if missing("asking") and not loop:
        pytest.skip(missing("asking"))
    program = PROGRAM.format(policy=policy, loop=loop, warning=WARNING)
    assert run_program(program, tmp_path) == "1\n"
