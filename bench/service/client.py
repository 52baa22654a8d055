"""A worker process: the client that asks the service.

Its argument is PORT. It reads what to do from standard input and prints what came of it, both in
JSON. The loop is open: a request is begun when it is due, however many are still unanswered. It
takes a new connection if none is idle. Its latency counts from when it was due.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from typing import Any, NamedTuple

from bench.service.protocol import BEGIN, FIGURES, HOST
from bench.service.scenarios import Case
from bench.service.visits import TOKEN, Due, Visit, visits

START_SECONDS = 600
"""For at most so long a server may load what it keeps: a busy machine takes its time."""

PATIENCE_SECONDS = 120
"""For at most so long an answer is waited for."""

LAST_BOUNDARY_SECONDS = 0.1
"""A wait after the last response of a phase: its boundary comes when the response is out."""


class Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Answer(NamedTuple):
    status: int
    body: bytes


class Client:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def ask(self, visit: Visit) -> Answer:
        """The answer, when all of it is here."""
        connection, is_kept = await self._connect()
        try:
            try:
                answer, stays = await exchange(connection, visit)
            except (ConnectionError, asyncio.IncompleteReadError):
                if not is_kept:
                    raise
                # The server was about to close it: any client tries again, with a new connection.
                connection.writer.close()
                connection = await self._open()
                answer, stays = await exchange(connection, visit)
        except BaseException:
            connection.writer.close()
            raise
        if stays:
            self._idle.append(connection)
        else:
            connection.writer.close()
        return answer

    async def _connect(self) -> tuple[Connection, bool]:
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof():
                return connection, True
            connection.writer.close()
        return await self._open(), False

    async def _open(self) -> Connection:
        return Connection(*await asyncio.open_connection(HOST, self._port))


async def exchange(connection: Connection, visit: Visit) -> tuple[Answer, bool]:
    """A request and its answer, and whether the connection can be used again."""
    reader, writer = connection
    writer.write(
        b"%s %s HTTP/1.1\r\nHost: %s\r\nCookie: csrftoken=%s\r\nX-CSRFToken: %s\r\n"
        b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
        % (
            b"POST" if visit.body else b"GET",
            visit.path.encode(),
            HOST.encode(),
            TOKEN.encode(),
            TOKEN.encode(),
            visit.content.encode(),
            len(visit.body),
            visit.body,
        )
    )
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(fields["content-length"]))
    return Answer(int(status.split()[1]), body), fields.get("connection") != "close"


class Seen:
    """What came of the requests of one phase."""

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []
        """Of the requests that count, failed ones included."""
        self.late_ns: list[int] = []
        """For each request, how much later than due the client began it."""
        self.others = 0
        """Requests that do not count, and were answered."""
        self.errors: dict[str, int] = {}

    def error(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


async def ask(client: Client, due: Due, due_ns: int, seen: Seen) -> None:
    seen.late_ns.append(time.perf_counter_ns() - due_ns)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await client.ask(due.visit)
    except (OSError, EOFError, ValueError, KeyError) as error:  # a timeout is an OSError
        seen.error(type(error).__name__)
    else:
        if answer.status >= 400:
            seen.error(f"status {answer.status}")
        elif not due.judged:
            seen.others += 1
    if due.judged:
        seen.latencies_ns.append(time.perf_counter_ns() - due_ns)


async def phase(client: Client, plan: list[Due]) -> Seen:
    """Ask for all of it, and wait for the last answer."""
    seen = Seen()
    began_ns = time.perf_counter_ns()
    async with asyncio.TaskGroup() as tasks:
        for due in plan:
            due_ns = began_ns + round(due.seconds * 1e9)
            early_ns = due_ns - time.perf_counter_ns()
            if early_ns > 0:
                await asyncio.sleep(early_ns / 1e9)
            tasks.create_task(ask(client, due, due_ns, seen))
    return seen


async def run(port: int, task: dict[str, Any]) -> dict[str, Any]:
    case, seed = Case(**task["case"]), task["seed"]
    client = Client(port)
    async with asyncio.timeout(START_SECONDS):
        await client.ask(Visit(BEGIN))  # it waits until the server is there
    await phase(client, visits(case, task["warm_up_seconds"], seed + 1, warm_up=True))
    await asyncio.sleep(LAST_BOUNDARY_SECONDS)
    begun = json.loads((await client.ask(Visit(BEGIN))).body)
    seen = await phase(client, visits(case, task["seconds"], seed))
    await asyncio.sleep(LAST_BOUNDARY_SECONDS)
    figures = json.loads((await client.ask(Visit(FIGURES))).body)
    if figures.pop("pid") != begun["pid"]:
        sys.exit("the worker ended, and another took its place")
    return {
        "latencies_ns": seen.latencies_ns,
        "late_ns": sorted(seen.late_ns)[len(seen.late_ns) * 99 // 100],
        "others": seen.others,
        "errors": seen.errors,
        "figures": figures,
    }


def main(port: int) -> None:
    gc.disable()  # of all processes, this one must not pause; it does not live for long
    task = json.load(sys.stdin)
    json.dump(asyncio.run(run(port, task)), sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
