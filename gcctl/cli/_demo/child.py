"""The child processes of the demo: the command starts them, reads what they say, and ends them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Command = Callable[[str], list[str]]
"""Returns the command that runs the module of a name in another interpreter."""


class TrialError(Exception):
    """A measurement that could not be made; the message says why."""


class Child:
    """A process of the demo. It is killed when the `with` block is left, for any reason."""

    def __init__(self, what: str, command: list[str]) -> None:
        self._what = what
        try:
            with contextlib.ExitStack() as opened:
                self._stderr = opened.enter_context(tempfile.TemporaryFile())
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._stderr,
                    env=_environment(),
                    text=True,
                    encoding="utf-8",
                )
                opened.pop_all()  # closed in __exit__
        except OSError as error:
            raise TrialError(f"the {what} cannot be started: {error}") from error

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
            # For example a sitecustomize that prints.
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


def module(command: Command, name: str, **plan: Any) -> list[str]:
    """The command that runs a module of the demo with its plan as JSON."""
    return [*command(f"gcctl.cli._demo.processes.{name}"), json.dumps(plan)]


def run_alone(what: str, command: list[str], progress: Callable[[int], None]) -> dict[str, Any]:
    """Run a process that measures by itself, and return the figures that it says at its end.

    `progress` is called with how much is done. Raises TrialError when the process dies.
    """
    with Child(what, command) as child:
        while (event := child.hear())["event"] == "progress":
            progress(event["done"])
    del event["event"]
    return event


def _environment() -> dict[str, str]:
    """Our environment without gcctl's settings, so that each row shows the preset as it is. The
    choice of the core stays."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GCCTL_") or name == "GCCTL_IMPL"
    }
