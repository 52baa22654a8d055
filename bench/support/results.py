"""What the commands have in common: their options, and what becomes of their results."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tables
from targets import Target


def parser(script: str, description: str | None) -> argparse.ArgumentParser:
    """With the options that each of them has."""
    made = argparse.ArgumentParser(prog=f"bench/{script}", description=description)
    made.add_argument(
        "--quick", action="store_true", help="run everything briefly and judge no timing"
    )
    made.add_argument("--json", metavar="FILE", help="write the results for machines too")
    return made


def complete(measured: dict[str, Any], targets: list[Target]) -> dict[str, Any]:
    """With where they come from, and what they were to be."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        **measured,
        "targets": [target.as_row() for target in targets],
    }


def finish(results: dict[str, Any], parts: Iterable[str], arguments: argparse.Namespace) -> int:
    """Write them if that is wanted, and print them; the exit status is 1 when a target that counts
    was not reached."""
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
