"""Processes of a benchmark, and word of what is being done."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import HERE, without_root

PROGRESS_CLEARS_LINE = "\r\033[K"


def command(module: str, *arguments: object) -> list[str]:
    """What starts a module in a process that measures the same gcctl: one of bench, or any."""
    start = os.path.join(HERE, "start.py")
    return [sys.executable, "-P", start, module, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """For a process that is measured. Settings of gcctl in our environment are not its settings,
    and PYTHONPATH does not lead to the sources."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("GCCTL_")}
    if "PYTHONPATH" in found:
        folders = without_root(found["PYTHONPATH"].split(os.pathsep))
        found["PYTHONPATH"] = os.pathsep.join(folders)
    return found | more


def worker(module: str, *arguments: object) -> str:
    """What the module prints in a process of its own."""
    return output(module, command(module, *arguments))


def script(path: str, *arguments: object) -> str:
    """What a script prints in a process of its own. It finds neither bench nor needs gcctl."""
    return output(path, [sys.executable, path, *map(str, arguments)])


def output(name: str, words: list[str]) -> str:
    done = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name} failed with status {done.returncode}")
    return done.stdout


def progress(what: str) -> None:
    """Shown on a terminal, in one line; "" clears it."""
    if sys.stderr.isatty():
        print(
            PROGRESS_CLEARS_LINE + what + (" ..." if what else ""),
            end="",
            file=sys.stderr,
            flush=True,
        )
