"""One policy, measured: a fresh server and a fresh client, and the row of figures they give."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Row = dict[str, Any]
"""The figures of one policy, under the names that `gcctl demo --json` prints."""


class TrialError(Exception):
    """A measurement that could not be made; the message says why."""


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
    """Requests before them, as fast as they are answered; not measured."""


class Child:
    """A process of the demo. Killed when the `with` block is left, whatever for."""

    def __init__(self, what: str, command: list[str]) -> None:
        self._what = what
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(),
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        with self._stderr, contextlib.suppress(BrokenPipeError), self._process:
            pass

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def hear(self) -> dict[str, Any]:
        """The next event; raises TrialError when the process ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            # Somebody's sitecustomize that prints, say.
            raise TrialError(
                f"the {self._what} printed {line.strip()!r}: something in this environment writes "
                "to the standard output of every python"
            ) from None
        return event

    def check(self) -> None:
        if self._process.poll() is not None:
            raise self._death()

    def _death(self) -> TrialError:
        status = self._process.wait()
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
        return TrialError(f"the {self._what} died ({how}): {last}")


def measure(
    plan: Plan, command: Callable[[str], list[str]], progress: Callable[[int], None]
) -> Row:
    """Run one trial. `command` says how to run a module; `progress` gets the requests done so far.

    Raises TrialError when a process dies or no request at all is answered.
    """

    def module(name: str, **arguments: Any) -> list[str]:
        return [*command(f"gcctl._demo.{name}"), json.dumps(arguments)]

    with contextlib.ExitStack() as children:
        server = children.enter_context(
            Child(
                f"server for policy {plan.policy!r}",
                module("server", policy=plan.policy, heap=plan.heap),
            )
        )
        load = {"rate": plan.rate, "requests": plan.requests, "warmup": plan.warmup}
        port = server.hear()["port"]
        client = children.enter_context(Child("client", module("client", port=port, **load)))
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


def _environment() -> dict[str, str]:
    """Ours without gcctl's settings: each row is the preset as it stands, on the chosen core."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GCCTL_") or name == "GCCTL_IMPL"
    }
