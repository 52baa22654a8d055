"""Worker processes, and word of what is being done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def worker(script: str, *arguments: object) -> str:
    """What the script prints. Settings of gcctl in our environment are not to be its settings."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GCCTL_")}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench/{script} failed with status {done.returncode}")
    return done.stdout


def progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}" + (" ..." if what else ""), end="", file=sys.stderr, flush=True)
