"""A gunicorn that is measured, and the memory of its workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bench.support.processes import command, environment

HOST = "127.0.0.1"
APP = "bench.servers.gunicorn_app:app"
HOOKS = "from gcctl.integrations.gunicorn import *\n"
PLAIN = ""

START_SECONDS = 300
"""For a master to load what it keeps."""


class Server:
    """gunicorn with `--preload`: it runs within `with`. `log` is what it has said."""

    def __init__(self, config: str, workers: int, *options: str, **environ: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="gcctl-bench-")
        self._path = Path(self._directory.name)
        (self._path / "gunicorn.conf.py").write_text(config)
        self._workers = workers
        self._options = ("--preload", "--workers", str(workers), "--bind", f"{HOST}:0", *options)
        self._environ = environment(HOME=self._directory.name, **environ)
        self.port = 0

    def __enter__(self) -> Server:
        with open(self._path / "log", "w") as log:
            self._master = subprocess.Popen(
                command("gunicorn", *self._options, APP),
                cwd=self._path,
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.port or len(self.workers()) < self._workers:
            if self._master.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                sys.exit(f"gunicorn did not start:\n{self.log}")
            found = re.search(rf"Listening at: http://{HOST}:(\d+)", self.log)
            self.port = int(found[1]) if found else 0
            time.sleep(0.01)
        return self

    def __exit__(self, *of_exception: object) -> None:
        self._master.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._master.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(self._master.pid, signal.SIGKILL)
        self._master.wait()
        self.log_at_end = self.log
        self._directory.cleanup()

    @property
    def log(self) -> str:
        return (self._path / "log").read_text()

    def workers(self) -> list[int]:
        pid = self._master.pid
        with suppress(OSError):
            return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        return []

    def ask(self, path: str) -> bytes:
        """The body of the answer. Raises OSError if the answer is an error or incomplete."""
        with socket.create_connection((HOST, self.port), timeout=START_SECONDS) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
            )
            received = b""
            while part := connection.recv(65536):
                received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200 ") or not length or len(body) != int(length[1]):
            raise OSError(f"{path}: {received[:100]!r}")
        return body


def memory_kib(pid: int, field: str) -> int:
    """A field of the process's smaps_rollup, in KiB: Rss, Pss, Private_Dirty …"""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", rollup, re.M)
    return int(found[1]) if found else 0
