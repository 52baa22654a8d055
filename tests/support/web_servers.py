"""Real web servers in processes of their own, on a port that the system picks."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from paths import DOCS
from processes import PATIENCE_SECONDS, wait_until

PAGES = DOCS / "integrations"

STATS = """
def counters():
    import json, gcctl
    stats = gcctl.stats()
    names = "policy requests failures in_flight collections unmatched_exits faults".split()
    return json.dumps({name: getattr(stats, name) for name in names}).encode()
"""
"""For the source of an application: what it is to answer for `Server.stats()`."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Dropped:
    """In a cycle, and so there until it is collected."""

    def __init__(self, gone: Callable[[], object]) -> None:
        self.itself = self
        self.gone = gone

    def __del__(self) -> None:
        self.gone()


class Told:
    """Whether the client had all of its response before garbage of the request was collected."""

    def __init__(self) -> None:
        self.client_has_all = threading.Event()
        self.seen: list[bool] = []

    def collected(self) -> None:
        self.seen.append(self.client_has_all.wait(PATIENCE_SECONDS))


class Server:
    """A server that runs and has one worker."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = port
        self.process = process
        self.asked = 0
        """Requests so far."""
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str, **headers: str) -> Answer:
        self.asked += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
            return Answer(response.status, dict(response.headers), body)
        finally:
            connection.close()

    def connect(self, path: str) -> socket.socket:
        """A connection over which that is asked for, and nothing is read yet."""
        self.asked += 1
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return client

    def stats(self, path: str = "/stats") -> dict[str, Any]:
        """The counters, in the request that asks for them."""
        answer = self.get(path)
        assert answer.status == 200, self.log
        counters: dict[str, Any] = json.loads(answer.body)
        return counters

    def wait_for(self, path: str = "/stats", **expected: object) -> dict[str, Any]:
        """Its counters, when they are as expected: a boundary may come after the last byte."""
        found: list[dict[str, Any]] = [{}]

        def as_expected() -> bool:
            found[0] = self.stats(path)
            return all(found[0][name] == value for name, value in expected.items())

        wait_until(as_expected, "the counters did not come to what was expected")
        return found[0]


@contextmanager
def serving(
    directory: Path, *command: str, source: str = "", env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server made by `python -m command…`, in whose command FD stands for the number of a
    listening socket, with `source` as its module `app`."""
    if source:
        (directory / "app.py").write_text(textwrap.dedent(source))
    log = directory / "server.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("ab") as output:
        # uvicorn takes what it is given for a Unix socket, and sets no option of TCP.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port, number = listener.getsockname()[1], str(listener.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", *[part.replace("FD", number) for part in command]],
            cwd=directory,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            # A group of its own, so that no worker is left behind.
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "default", **(env or {})},
        )
    try:  # only the server has the socket now: when it dies, clients know
        yield Server(port, process, log)
        assert process.poll() is None, log.read_text()
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> int:
    """Ask it to end, then make it and whatever it has started."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait(PATIENCE_SECONDS)


def examples(page: str) -> list[str]:
    """The examples in Python of a page of docs/integrations."""
    return re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(), re.S | re.M)
