"""Applications that gunicorn serves in tests: what they answer is what their worker knows."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from finalizer_threads import WATCH
from frozen_count import frozen_objects

import gcctl
from gcctl._auto import debt, full_collections

if "gevent" not in sys.modules:  # it starts threads of its own unseen
    WATCH.note = lambda text: print(text, file=sys.stderr, flush=True)  # type: ignore[method-assign]
    WATCH.start()

HEAP = int(os.environ.get("TEST_HEAP", "0"))
"""Tracked objects that are loaded with the application."""

heap = [{"a": [number]} for number in range(HEAP // 2)]

if os.environ.get("TEST_IMPATIENT"):
    debt.SHORTEST_NS = {1: 0, 2: 0}  # type: ignore[misc]
    full_collections.ROUTINE_NS = full_collections.QUIET_NS = 0  # type: ignore[misc]


class Node:
    def __init__(self) -> None:
        self.me = self


class Waiting(Node):
    """Garbage from the beginning, whose finalizer waits for a file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def __del__(self) -> None:
        deadline = time.monotonic() + 30
        while not os.path.exists(self.path) and time.monotonic() < deadline:
            time.sleep(0.001)
        with open(self.path + ".seen", "w") as file:
            file.write(str(time.monotonic() < deadline))


class Telling(Node):
    """Tells in a file which thread has finalized it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def __del__(self) -> None:
        with open(self.path, "w") as file:
            file.write(threading.current_thread().name)


def leave_in_generation_1(path: str) -> None:
    garbage = Telling(path)
    gc.collect(0)
    del garbage


def known() -> dict[str, Any]:
    stats = gcctl.stats()
    found = stats.auto
    return {
        "pid": os.getpid(),
        "policy": stats.policy,
        "requests": stats.requests,
        "failures": stats.failures,
        "in_flight": stats.in_flight,
        "faults": stats.faults,
        "collections": stats.collections,
        "tenured": found.tenured if found else 0,
        "fulls": stats.concurrent.collected,
        "enabled": gc.isenabled(),
        "frozen": frozen_objects(),
        "recycle": gcctl.should_recycle(),
        "max_pause": os.environ.get("GCCTL_MAX_PAUSE"),
    }


def garbage(objects: int) -> None:
    made = [Node() for _ in range(objects)]
    made[0].me = made  # type: ignore[assignment]


def collects() -> bool:
    """Whether a collection finds garbage: in some forked workers none ever does."""
    Node()
    return gc.collect() > 0


def answer(path: str, query: str) -> object:
    if path == "/boom":
        raise ValueError(path)
    if path == "/garbage":
        garbage(int(query))
    elif path == "/wait":
        Waiting(query)
    elif path == "/older":
        leave_in_generation_1(query)
    elif path == "/collects":
        return collects()
    elif path == "/uninstall":
        gcctl.uninstall()
    return known()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps(answer(environ["PATH_INFO"], environ["QUERY_STRING"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    await asyncio.sleep(0)
    body = json.dumps(answer(scope["path"], scope["query_string"].decode())).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


class Slow(Node):
    def __del__(self) -> None:
        time.sleep(0.02)


def collect_for_ever() -> None:
    while True:
        Slow()
        gc.collect()
        time.sleep(0.02)  # in which a fork can be made


if os.environ.get("TEST_COLLECTING_THREAD"):
    threading.Thread(target=collect_for_ever, daemon=True).start()
if os.environ.get("TEST_INSTALLS"):
    gcctl.install("production")
