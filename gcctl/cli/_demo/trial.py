"""Measures one policy: a new server, a new client, and the row of figures that they give."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gcctl.cli._demo.child import Child, Command, TrialError, module
from gcctl.cli._demo.table import Row


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    policy: str
    heap: int
    """Live objects in the server."""
    rate: float
    """Requests per second."""
    requests: int
    """Measured requests."""
    warmup: int
    """Requests before the measured ones, sent as fast as they are answered."""


def measure(plan: Plan, command: Command, progress: Callable[[int], None]) -> Row:
    """Run one trial. `command` says how to run a module; `progress` is called with the number of
    requests done.

    Raises TrialError when a process dies or no request at all is answered.
    """
    with contextlib.ExitStack() as children:
        server = children.enter_context(
            Child(
                f"server for policy {plan.policy!r}",
                module(command, "server", policy=plan.policy, heap=plan.heap),
            )
        )
        load = {"rate": plan.rate, "requests": plan.requests, "warmup": plan.warmup}
        port = server.hear()["port"]
        client = children.enter_context(
            Child("client", module(command, "client", port=port, **load))
        )
        client.hear()
        server.tell("measure")
        server.hear()
        client.tell("go")
        while (sent := client.hear())["event"] == "progress":
            server.check()
            progress(sent["done"])
        server.tell("stop")
        measured = server.hear()
    if not sent["requests"]:
        raise TrialError(f"policy {plan.policy!r}: none of {plan.requests} requests was answered")
    return _row(plan, sent, measured)


def _row(plan: Plan, sent: dict[str, Any], measured: dict[str, Any]) -> Row:
    return {
        "policy": plan.policy,
        "requests": sent["requests"],
        "errors": sent["errors"],
        "rate": plan.rate,
        "requests_per_s": round(sent["requests_per_s"], 2),
        "p50_ms": round(sent["p50_ns"] / 1e6, 3),
        "p99_ms": round(sent["p99_ns"] / 1e6, 3),
        "worst_ms": round(sent["worst_ns"] / 1e6, 3),
        "collections_by_generation": measured["collections_by_generation"],
        "objects_collected": measured["objects_collected"],
        "pause_total_ns": measured["pause_total_ns"],
        "pause_max_ns": measured["pause_max_ns"],
        "cpu_ns": measured["cpu_ns"],
        # A clock of CPU time may be too coarse to have moved.
        "gc_cpu_share": round(measured["pause_total_ns"] / max(measured["cpu_ns"], 1), 5),
        "rss_bytes": measured["rss_bytes"],
        "heap_objects": plan.heap,
        "python": measured["python"],
        "implementation": measured["implementation"],
    }
