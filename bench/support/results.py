"""What most benchmarks have in common: their options, and what becomes of their results."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.support import tables
from bench.support.targets import Target


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Of the benchmark of this name: with `--quick`, which each of them has."""
    made = argparse.ArgumentParser(prog=f"python -m bench {name}", description=description)
    made.add_argument(
        "--quick", action="store_true", help="run everything briefly and judge no timing"
    )
    return made


def parser_with_json(name: str, description: str | None) -> argparse.ArgumentParser:
    """The same, with `--json`: for `finish`."""
    made = parser(name, description)
    made.add_argument("--json", metavar="FILE", help="write the results for machines too")
    return made


def complete(measured: dict[str, Any], targets: list[Target]) -> dict[str, Any]:
    """The results with the machine that they come from, and the targets."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        **measured,
        "targets": [target.as_row() for target in targets],
    }


def finish(results: dict[str, Any], parts: Iterable[str], arguments: argparse.Namespace) -> int:
    """Print the results, and write them where `--json` says. Returns the exit status: 1 when a
    target that counts was not reached."""
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    found = [Target.of_row(row) for row in results["targets"]]
    print(f"CPython {results['python']} on {results['machine']}, {results['cpus']} CPUs\n")
    for part in parts:
        print(part, end="\n\n")
    if found:
        print(tables.targets(found, quick=arguments.quick))
    counting = (target for target in found if target.quick or not arguments.quick)
    return 0 if all(target.reached for target in counting) else 1
