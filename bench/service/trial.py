"""One trial: a fresh server process in one mode, the client's requests, and what came of them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.service.modes import AUTOMATIC
from bench.service.protocol import HOST, SETTING
from bench.service.scenarios import ASGI, Case
from bench.support.figures import Row, percentile
from bench.support.processes import command as start
from bench.support.processes import environment as inherited

BACKLOG = 2_048
STOP_SECONDS = 10


class Failed(Exception):
    """A trial that gave no figures."""


def environment(case: Case, mode: str, database: Path) -> dict[str, str]:
    """For the server."""
    setting = {"case": case._asdict(), "mode": mode, "database": str(database)}
    # GCCTL_IMPL=c: the compiled core, or an error where it is not built.
    return inherited(GCCTL_IMPL="c", **{SETTING: json.dumps(setting)})


def seed(database: Path) -> None:
    """Fill the database, once for all trials."""
    any_case = Case("seed", "", ASGI)
    done = subprocess.run(
        start("bench.service.shop.seed"),
        env=environment(any_case, AUTOMATIC, database),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"the database could not be filled:\n{done.stderr}")


def run(case: Case, mode: str, database: Path, task: Row) -> Row:
    """What was measured. Raises Failed with what the server last said."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(database, folder))  # each trial begins with the same database
        log = Path(folder) / "server.log"
        with server(case, environment(case, mode, copy), log) as port:
            done = subprocess.run(
                start("bench.service.client", port),
                env=inherited(),
                input=json.dumps({"case": case._asdict(), **task}),
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise Failed(f"{last(done.stderr)}\nthe server said:\n{last(log.read_text())}")
    return row_of(json.loads(done.stdout))


@contextmanager
def server(case: Case, env: dict[str, str], log: Path) -> Iterator[int]:
    """A server process; the port it listens on."""
    # Its socket is made here. A client that connects before the server listens waits; one that
    # connects after the server has ended is refused.
    with socket.create_server((HOST, 0), backlog=BACKLOG) as listening, log.open("w") as output:
        descriptor, port = listening.fileno(), listening.getsockname()[1]
        process = subprocess.Popen(
            command(case, descriptor),
            env=env,
            cwd=log.parent,  # which gunicorn adds to sys.path: not where gcctl's sources are
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[descriptor],
        )
    try:
        yield port
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def command(case: Case, descriptor: int) -> list[str]:
    if case.server == ASGI:
        return start("bench.service.asgi", descriptor)
    settings = Path(__file__).resolve().parent / "gunicorn_conf.py"
    return start("gunicorn", "--config", settings, "--bind", f"fd://{descriptor}")


def row_of(found: Row) -> Row:
    """The client's and the server's figures in one, latencies included."""
    latencies = sorted(found.pop("latencies_ns"))
    if not latencies:
        raise Failed("no request was due in so short a time")
    figures = found.pop("figures")
    return {
        **figures,
        **found,
        "errors": sum(found["errors"].values()),
        "error_kinds": found["errors"],
        "p50_ns": percentile(latencies, 50),
        "p99_ns": percentile(latencies, 99),
        "worst_ns": latencies[-1],
        "answered": len(latencies),
        "latencies_ns": latencies,
    }


def last(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])
