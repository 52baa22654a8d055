"""Compiles floors.pyx for this interpreter into build/bench/ of the checkout, and imports it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from bench import ROOT

SOURCE = Path(__file__).resolve().parent / "floors.pyx"
BUILT = Path(ROOT) / "build" / "bench" / (sys.implementation.cache_tag + sys.abiflags)


def build() -> None:
    """Compile what is not up to date. Where it cannot be compiled, exit and say what is missing."""
    BUILT.mkdir(parents=True, exist_ok=True)
    copy = BUILT / SOURCE.name
    if not copy.exists() or copy.read_bytes() != SOURCE.read_bytes():
        copy.write_bytes(SOURCE.read_bytes())
    # In its own process: the compiler's noise is shown only when it is needed.
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", SOURCE.name]
    done = subprocess.run(command, cwd=BUILT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(
            f"{done.stdout}{done.stderr}\n"
            "bench/boundary/floors.pyx could not be compiled: it needs a C compiler, Python's "
            "headers and what pip install '.[bench]' installs"
        )


def load() -> ModuleType:
    """The compiled floors, as `build` last made them."""
    if not BUILT.exists():
        build()
    sys.path.insert(0, str(BUILT))
    try:
        return importlib.import_module("floors")
    finally:
        sys.path.remove(str(BUILT))
