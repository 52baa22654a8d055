"""The C code: which folder may include which, no circles, names that tell the file, small files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from paths import ROOT

CSRC = ROOT / "csrc"

pytestmark = pytest.mark.skipif(
    not CSRC.is_dir(), reason="not in a source tree: there is no csrc/ beside tests/"
)

FOLDERS = {
    "": [],
    "collector": [""],
    "core": ["", "collector"],
    "memory": [""],
    "interpreter": ["", "collector"],
    "concurrent/shared": ["", "collector"],
    "concurrent/parent": ["", "collector", "concurrent/shared"],
    "concurrent/child": ["", "collector", "concurrent/shared"],
}
"""Each folder of csrc/, and the other folders that its files may include."""

MOST_LINES = 200

SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in (".c", ".h"))
UNITS = sorted({path.relative_to(CSRC).with_suffix("").as_posix() for path in SOURCES})
"""A .h file and its .c file are one unit, such as "core/clock"."""

INCLUDE = re.compile(r'^ *# *include "(.+)"', re.MULTILINE)

FUNCTION = re.compile(r"^(?!typedef\b)([a-zA-Z_][\w \t*]*?)\b(\w+)\((?!\*)", re.MULTILINE)
"""A declaration or definition: it begins in the first column, with its type."""


def name(path: Path) -> str:
    return path.relative_to(CSRC).as_posix()


def folder(unit: str) -> str:
    return unit.rpartition("/")[0]


def included(path: Path) -> set[str]:
    return set(INCLUDE.findall(path.read_text(encoding="utf-8")))


def includes_of_units() -> dict[str, set[str]]:
    """For each unit the other units that its header or its .c file includes."""
    found: dict[str, set[str]] = {unit: set() for unit in UNITS}
    for path in SOURCES:
        unit = path.relative_to(CSRC).with_suffix("").as_posix()
        found[unit] |= {header.removesuffix(".h") for header in included(path)} - {unit}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_includes_are_written_from_csrc_on(path: Path) -> None:
    for header in included(path):
        assert header.endswith(".h"), f"{name(path)} includes {header}"
        assert (CSRC / header).is_file(), f"there is no csrc/{header}"


@pytest.mark.parametrize("unit", UNITS)
def test_a_folder_includes_the_folders_of_its_row_and_nothing_else(unit: str) -> None:
    own = folder(unit)
    assert own in FOLDERS, f"say in FOLDERS what {own} may include"
    found = {folder(other) for other in includes_of_units()[unit]} - {own}
    assert found <= {*FOLDERS[own]}, f"{unit} includes files of {sorted(found)}"


def test_no_circle() -> None:
    """A unit that includes another is not included by it, nor by what that includes."""
    includes = includes_of_units()
    done: set[str] = set()

    def visit(unit: str, on_the_way: tuple[str, ...]) -> None:
        assert unit not in on_the_way, f"a circle: {' → '.join((*on_the_way, unit))}"
        if unit not in done:
            for other in sorted(includes[unit]):
                visit(other, (*on_the_way, unit))
            done.add(unit)

    for unit in UNITS:
        visit(unit, ())


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_function_is_static_or_named_after_its_file(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for type_, function in FUNCTION.findall(text):
        if path.suffix == ".c" and "static" in type_.split():
            continue
        assert function.startswith(f"gcctl_{path.stem}_"), f"{name(path)}: {function}()"


def test_functions_are_found() -> None:
    """The test above would say nothing if its pattern found nothing."""
    header = (CSRC / "core/clock.h").read_text(encoding="utf-8")
    assert [function for _, function in FUNCTION.findall(header)] == [
        "gcctl_clock_now",
        "gcctl_clock_coarse",
    ]


def test_no_two_files_have_the_same_name() -> None:
    """So that the name of a function tells one file."""
    stems = [unit.rpartition("/")[2] for unit in UNITS]
    assert sorted(stems) == sorted(set(stems))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES


def test_every_folder_of_the_table_is_there() -> None:
    assert {folder(unit) for unit in UNITS} == {*FOLDERS}
