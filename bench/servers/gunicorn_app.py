"""The application of a gunicorn that is measured. It loads `HEAP` tracked objects. Each request
leaves a cycle and replaces one of the sessions that it keeps."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import gcctl

HEAP = int(os.environ.get("HEAP", "0"))
NODES = 20
"""Objects in the cycle that a request leaves."""
KEPT = int(os.environ.get("KEPT", "20000"))
"""Sessions that are kept at once."""

heap = [{"a": [number]} for number in range(HEAP // 2)]
sessions: deque[dict[str, Any]] = deque(maxlen=KEPT)

if os.environ.get("IMPATIENT"):  # full collections without waiting for growth or time
    from gcctl._auto import full_collections

    full_collections.ROUTINE_NS = 0  # type: ignore[misc]


class Node:
    def __init__(self, other: Node | None) -> None:
        self.other = other
        self.data = [other]


def serve() -> bytes:
    first = last = Node(None)
    for _ in range(NODES // 2):
        last = Node(last)
    first.other = last
    session: dict[str, Any] = {"values": [os.urandom(64)]}
    session["itself"] = session  # garbage when it is replaced
    sessions.append(session)
    return b"x" * 500


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/collect":
        body = str(gc.collect()).encode()
    elif path == "/fulls":
        body = str(gcctl.stats().concurrent.collected).encode()
    elif path == "/pid":
        body = str(os.getpid()).encode()
    else:
        body = serve()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
