"""Which gcctl is measured."""

from __future__ import annotations

import importlib.util
import os
import sys

MEASURED = "BENCH_GCCTL"
"""The environment variable that tells processes of a benchmark where the measured gcctl is."""

HOW_TO_INSTALL = f"install it: {sys.executable} -m pip install ."


def gcctl_folder() -> str:
    """Where `import gcctl` finds it. It is not imported."""
    spec = importlib.util.find_spec("gcctl")
    if spec is None or spec.origin is None:
        sys.exit(f"the benchmarks measure an installed gcctl, and there is none; {HOW_TO_INSTALL}")
    return os.path.dirname(os.path.realpath(spec.origin))


def gcctl_version() -> str:
    from importlib import metadata  # late: it brings much that processes which measure do not need

    try:
        return metadata.version("gcctl")
    except metadata.PackageNotFoundError:
        return "of unknown version"


def demand_same_gcctl() -> None:
    """In a process of a benchmark: exits where another gcctl would be imported."""
    wanted, found = os.environ.get(MEASURED), gcctl_folder()
    if wanted and wanted != found:
        sys.exit(f"this process would measure the gcctl in {found}, and not the one in {wanted}")


def demand_compiled_core() -> None:
    """Exits where gcctl was installed without its compiled core: there is nothing to compare."""
    if importlib.util.find_spec("gcctl._core.compiled") is None:
        sys.exit(
            "this benchmark needs gcctl's compiled core, which was not built; " + HOW_TO_INSTALL
        )
