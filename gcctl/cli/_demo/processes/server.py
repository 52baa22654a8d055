"""The service: one synchronous worker on loopback, in a process of its own.

    python -m gcctl.cli._demo.processes.server '{"policy": "off", "heap": 100000}'

It says "ready" with its port, "measuring" when told to measure, and "measured" when told to stop.
gcctl is installed after the warm-up, when measuring begins. So its counters and its longest pause
are of the measured time alone.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import platform
import queue
import socketserver
import sys
import time
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import gcctl
from gcctl.cli._demo.processes import pipes
from gcctl.cli._demo.processes.workload import application, catalogue

POLL_SECONDS = 0.05
"""How soon an idle server notices a word from its parent."""


class Stopped(Exception):
    """The way out of serve_forever()."""


class QuietHandler(WSGIRequestHandler):
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an ACK

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(WSGIServer):
    """A WSGI server that takes words from its parent between two requests."""

    # Requests come when they are due, even if the server is busy. During a pause they must wait
    # here, and not be refused and sent again a second later.
    request_queue_size = 1024

    def __init__(self, policy: str, words: queue.SimpleQueue[str]) -> None:
        super().__init__(("127.0.0.1", 0), QuietHandler)
        self.set_app(application)
        self._policy = policy
        self._words = words
        self._cpu_before_ns = 0

    def server_bind(self) -> None:
        """As the inherited one, without asking a name server who 127.0.0.1 is."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        # Around the whole connection. At the boundary the response has been sent and the connection
        # is closed, so only the next request waits for a collection.
        with gcctl.request():
            super().process_request(request, client_address)

    def service_actions(self) -> None:
        with contextlib.suppress(queue.Empty):
            {"measure": self._measure, "stop": self._stop}[self._words.get_nowait()]()

    def _measure(self) -> None:
        gcctl.install(self._policy)
        self._cpu_before_ns = time.process_time_ns()
        pipes.say("measuring")

    def _stop(self) -> None:
        cpu_ns = time.process_time_ns() - self._cpu_before_ns
        stats = gcctl.stats()
        pipes.say(
            "measured",
            collections_by_generation=stats.collections_by_generation,
            objects_collected=stats.objects_collected,
            pause_total_ns=stats.pause_total_ns,
            pause_max_ns=stats.pause_max_ns,
            cpu_ns=cpu_ns,
            rss_bytes=stats.rss_bytes,
            python=platform.python_version(),
            implementation=stats.implementation,
        )
        gcctl.uninstall()
        raise Stopped


def main() -> None:
    plan = json.loads(sys.argv[1])
    words = pipes.commands()
    logging.getLogger("gcctl").addHandler(logging.NullHandler())  # the figures say it all
    heap = catalogue(plan["heap"])
    gc.collect()  # the heap is old when the service starts, under every policy
    with Server(plan["policy"], words) as server, contextlib.suppress(Stopped):
        pipes.say("ready", port=server.server_port)
        server.serve_forever(POLL_SECONDS)
    del heap


if __name__ == "__main__":
    main()
