"""Dependencies point one way, and importing gcctl stays cheap in what it drags in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

import gcctl

PACKAGE = Path(gcctl.__file__).parent

# From the bottom up: a folder may import what stands before it in this list.
FOLDERS = [
    "_base",
    "_core",
    "_memory",
    "_process",
    "_interpreter",
    "_config",
    "_concurrent",
    "_auto",
    "_monitor",
    "_lifecycle",
    "__init__",
]
ABOVE = ["integrations", "exporters", "cli", "__main__"]
"""These may import all of the above, and not each other; `__main__` is the command line."""

MOST_MODULES = 12
MOST_LINES = 400
WIDER = {"cli", "integrations"}
"""Folders with a module for each of many."""

SOURCES = sorted(PACKAGE.rglob("*.py"))


def folder(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The modules of gcctl that a source file imports, also inside functions, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not read by this test"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] == "gcctl"}


def folder_of(module: str) -> str:
    """A public name that is taken from the package itself counts as the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS + ABOVE else "__init__"


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_folder_imports_the_folders_below_it_and_nothing_else(path: Path) -> None:
    own = folder(path)
    assert own in FOLDERS + ABOVE, f"say in FOLDERS where {own} belongs"
    allowed = FOLDERS if own in ABOVE else FOLDERS[: FOLDERS.index(own)]
    if own == "__main__":
        allowed = [*allowed, "cli"]
    found = {folder_of(module) for module in imported(path)} - {own}
    assert found <= {*allowed}, f"{own} imports {sorted(found - {*allowed})}"


def test_cython_files_import_the_folders_below_them_and_nothing_else() -> None:
    if not (ROOT / "gcctl").is_dir():
        pytest.skip("not in a source tree: no Cython files")
    for path in (ROOT / "gcctl").rglob("*.p[yx]*"):
        if path.suffix not in (".pyx", ".pxi", ".pxd"):
            continue
        own = path.relative_to(ROOT / "gcctl").parts[0]
        modules = re.findall(r"^(?:from|c?import) +(gcctl[.\w]*)", path.read_text(), re.MULTILINE)
        found = {folder_of(module) for module in modules} - {own}
        assert found <= {*FOLDERS[: FOLDERS.index(own)]}, path


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_the_twins_are_chosen_in_one_place(path: Path) -> None:
    twins = ("_core.compiled", "_core.pure", "_memory.compiled", "_memory.pure")
    if path.relative_to(PACKAGE) == Path("_process/twins.py") or path.stem.startswith("pure"):
        return
    assert not [module for module in imported(path) if module[len("gcctl.") :].startswith(twins)]


def test_no_circle_within_a_folder() -> None:
    """A module that imports another is not imported by it, nor by what that imports."""
    graph: dict[str, set[str]] = {}
    modules = {".".join(("gcctl", *p.relative_to(PACKAGE).with_suffix("").parts)) for p in SOURCES}
    for path in SOURCES:
        own = ".".join(("gcctl", *path.relative_to(PACKAGE).with_suffix("").parts))
        names = imported(path)
        known = names & modules | {name.rpartition(".")[0] for name in names} & modules
        graph[own] = known - {own}
    done: set[str] = set()

    def visit(module: str, on_the_way: tuple[str, ...]) -> None:
        assert module not in on_the_way, f"a circle: {' → '.join((*on_the_way, module))}"
        if module not in done:
            for below in sorted(graph.get(module, ())):
                visit(below, (*on_the_way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_top_level_has_folders_only() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_folders_are_small() -> None:
    for directory in {path.parent for path in SOURCES}:
        modules = list(directory.glob("*.py"))
        if str(directory.relative_to(PACKAGE)) not in WIDER:
            assert len(modules) <= MOST_MODULES, f"{directory.name} has {len(modules)} modules"


def test_files_are_small() -> None:
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py*")
        if path.suffix in (".py", ".pyx", ".pyi", ".pxd")
        if (lines := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert not long


def test_cython_files_are_small() -> None:
    """They are in the source tree only."""
    long = {
        path.name: lines
        for path in (ROOT / "gcctl").rglob("*.p*")
        if path.suffix in (".pyx", ".pxi", ".pxd")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=name)
def test_every_folder_says_what_it_answers(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


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
    sys.exit()
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
