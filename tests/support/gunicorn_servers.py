"""A real gunicorn, with its master and its workers, and somebody who asks it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from finalizer_threads import ELSEWHERE
from paths import SUPPORT
from processes import PATIENCE_SECONDS, wait_until

HOOKS = "from gcctl.integrations.gunicorn import *\n"


class Server:
    """gunicorn in a directory, on a port that the system picks."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        app: str = "gunicorn_apps:wsgi",
        config: str = HOOKS,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        (directory / "gunicorn.conf.py").write_text(config)
        self._log = directory / "log"
        command = [sys.executable, "-Im", "gunicorn", "--bind", "127.0.0.1:0", *options]
        with open(self._log, "w") as log:
            self.master = subprocess.Popen(
                [*command, "--pythonpath", str(SUPPORT), app],
                cwd=directory,
                env={**os.environ, "HOME": str(directory), **(environ or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Server:
        try:
            wait_until(lambda: self.port or self.master.poll() is not None, self._log.read_text())
            assert self.port, self.log
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *of_exception: object) -> None:
        self.kill()
        assert ELSEWHERE not in self.log, self.log

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.master.pid, signal.SIGKILL)
        self.master.wait()

    def stop(self) -> str:
        """As a deployment stops it. Returns the log."""
        self.master.terminate()
        self.master.wait(PATIENCE_SECONDS)
        return self.log

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        """0: not known yet."""
        found = re.search(r"Listening at: http://127.0.0.1:(\d+)", self.log)
        return int(found[1]) if found else 0

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def ask(self, path: str = "/") -> Any:
        """What a worker answers, on a connection of its own; an int where that is an error."""
        connection = self.connect()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return json.loads(body) if response.status == 200 else response.status
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """Those that are there now."""
        pid = self.master.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in found}


def private_dirty_bytes(pid: int) -> int:
    """Memory of a process that is its own because somebody has written to it: the most in half a
    second, for the child of a concurrent collection shares it."""
    seen = []
    for _ in range(50):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"Private_Dirty:\s+(\d+) kB", rollup)
        assert found
        seen.append(int(found[1]) * 1024)
        time.sleep(0.01)
    return max(seen)
