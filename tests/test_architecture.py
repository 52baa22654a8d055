"""Dependencies point one way, and importing gcctl stays cheap in what it drags in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gcctl

PACKAGE = Path(gcctl.__file__).parent

# From the bottom up: a module may import those of its own layer and of the layers before it.
LAYERS = [
    {"debt", "errors", "histogram", "jitter", "units", "_protocol", "policy"},
    {
        "_request",
        "_pyentry",
        "_pyrecorder",
        "_fields",
        "safety_net",
        "full_collections",
        "auto",
        "automatic",
        "cgroup",
        "collectors",
        "cycles",
        "delivery",
        "deputy",
        "preload",
        "staggering",
        "tenure",
    },
    {"_concurrent", "_core", "_pycore", "_memory", "_pymemory", "config", "settings", "limits"},
    {"_impl", "concurrent_run", "fork", "pressure", "alerts", "recycling"},
    {"prospects"},
    {"batches", "boundary", "concurrent", "holding", "monitor"},
    {"heap", "reporting", "report_json"},
    {"adaptive", "cycle_profiler"},
    {"controller"},
    {"lifecycle"},
    {"__init__"},
    {"_demo", "cli", "__main__", "integrations", "exporters"},
]
LAYER_OF = {name: number for number, layer in enumerate(LAYERS) for name in layer}
FACADE = LAYER_OF["__init__"]


def part(path: Path) -> str:
    """The module, or the subpackage it is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").removesuffix(".pyx")


def imported(path: Path) -> set[str]:
    """The parts of gcctl that a source file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "gcctl":
            modules = [f"gcctl.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            first, *rest = module.split(".")
            if first == "gcctl":
                # A public name taken from the package itself counts as the package.
                found.add(rest[0] if rest and rest[0] in LAYER_OF else "__init__")
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = part(path)
    assert own in LAYER_OF, f"say in LAYERS where {own} belongs"
    for name in imported(path):
        assert LAYER_OF[name] <= LAYER_OF[own], f"{own} imports {name}, which is above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_twins_are_chosen_in_one_place(path: Path) -> None:
    if part(path) != "_impl":
        assert not imported(path) & {"_core", "_pycore", "_memory", "_pymemory"} - {part(path)}


def test_import_takes_nothing_from_outside_the_standard_library() -> None:
    program = """
import sys
before = set(sys.modules)
import gcctl
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
loaded -= {*sys.stdlib_module_names, "cython_runtime"}  # which every Cython module makes
print(sorted(name for name in loaded if not name.startswith("_")))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['gcctl']"


def test_the_command_that_becomes_another_process_imports_little() -> None:
    program = """
import os, sys, _gcctl_cli
sys.argv = ["gcctl", "run", "program.py"]
def exec(*how):
    print(sorted(name for name in sys.modules if name.startswith("gcctl")))
os.execve = exec
_gcctl_cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    needed = ["gcctl", "gcctl.cli", "gcctl.cli._boot", "gcctl.cli._python", "gcctl.cli.run"]
    assert done.stdout == f"{needed}\n"


def test_public_names_are_sorted_and_there() -> None:
    assert gcctl.__all__ == sorted(gcctl.__all__)
    for name in gcctl.__all__:
        assert getattr(gcctl, name) is not None
