"""What `import gcctl` and `gcctl.install()` bring into a process that has imported nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from processes import run_program

import gcctl
from gcctl._process import twins

MOST_OBJECTS = 6_500 if twins.core.implementation == "c" else 8_500
MOST_BYTES = (5 if sys.version_info < (3, 14) else 6.5) * 2**20

LATE = ("ast", "dataclasses", "inspect", "json", "logging", "psutil", "re", "signal", "threading")
"""What only a rare path needs, or the program itself."""


def names_by_module(node: ast.If) -> dict[str, str]:
    return {
        alias.name: (statement.module or "").removeprefix("gcctl.")
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_the_lists_of_public_names_agree() -> None:
    tree = ast.parse(Path(gcctl.__file__).read_text())
    for_type_checkers = next(
        node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    at_run_time = {name: module for module, names in gcctl._MODULES.items() for name in names}
    assert names_by_module(for_type_checkers) == at_run_time
    at_once = {"request", "run_request", "tick"}
    assert sorted({*at_run_time, *at_once}) == gcctl.__all__


def test_every_public_name_is_there_and_listed(tmp_path: Path) -> None:
    program = """
import gcctl
print(set(gcctl.__all__) <= set(dir(gcctl)))
from gcctl import *
print([name for name in gcctl.__all__ if name not in globals()])
try:
    gcctl.no_such_name
except AttributeError as error:
    print(error)
"""
    said = "module 'gcctl' has no attribute 'no_such_name'"
    assert run_program(program, tmp_path) == f"True\n[]\n{said}\n"


def test_once_installed_the_attributes_of_the_module_are_plain_ones(tmp_path: Path) -> None:
    """CPython specialises `gcctl.request` only where the module has no `__getattr__`."""
    program = """
import gcctl
gcctl.stats = "somebody's own"
gcctl.install()
print("__getattr__" in vars(gcctl), set(gcctl.__all__) <= set(vars(gcctl)), gcctl.stats)
print(hasattr(gcctl, "no_such_name"))
"""
    assert run_program(program, tmp_path) == "False True somebody's own\nFalse\n"


def test_importing_alone_brings_what_requests_call(tmp_path: Path) -> None:
    program = """
import sys
import gcctl
with gcctl.request():
    gcctl.tick()
folders = {name.split(".")[1] for name in sys.modules if name.startswith("gcctl.")}
print(sorted(folders), "gcctl._memory.cgroup" in sys.modules)
"""
    assert run_program(program, tmp_path) == "['_base', '_core', '_memory', '_process'] False\n"


@pytest.mark.parametrize("policy", ["auto", "production", "off"])
def test_installing_imports_nothing_that_only_a_rare_path_needs(
    policy: str, tmp_path: Path
) -> None:
    program = f"""
import sys, typing  # which imports re up to 3.12
before = set(sys.modules)
import gcctl
gcctl.install({policy!r}, memory_limit=None)
with gcctl.request():
    pass
gcctl.tick()
print(sorted((set(sys.modules) - before) & set({LATE!r})))
"""
    expected: list[str] = []
    if sys.version_info >= (3, 14):  # typing.NamedTuple needs it for annotations that are strings
        expected.append("ast")
    if twins.core.implementation == "python" and sys.version_info >= (3, 13):
        expected.append("re")  # with it that twin reads the kernel's files
    assert run_program(program, tmp_path) == f"{expected}\n"


def test_installing_adds_little_memory(tmp_path: Path) -> None:
    program = """
import gc
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
gc.collect()
objects, memory = len(gc.get_objects()), rss()
import gcctl
gcctl.install()
gc.collect()
print(len(gc.get_objects()) - objects, rss() - memory)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system does not tell how much memory is used")
    objects, memory = map(int, run_program(program, tmp_path).split())
    assert objects <= MOST_OBJECTS
    assert memory <= MOST_BYTES
