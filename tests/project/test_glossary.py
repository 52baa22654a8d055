"""The code keeps to the words of docs/glossary.md, and not to those that they have replaced."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from paths import ROOT

import gcctl

PACKAGE = Path(gcctl.__file__).parent

REPLACED = {
    "look": "check",
    "looks": "checks",
    "attend": "sweep_step",
    "attends": "sweep_step",
    "delivery": "callbacks",
    "deputy": "idle",
    "prospects": "feasibility",
}
"""A word that was used for a term, and the word for it now."""

PYTHON = sorted(PACKAGE.rglob("*.py"))
COMPILED = [
    path
    for folder, endings in (
        ("gcctl", ("*.pyx", "*.pxi", "*.pxd", "*.pyi")),
        ("csrc", ("*.c", "*.h")),
    )
    for ending in endings
    for path in sorted((ROOT / folder).rglob(ending))
]


def in_python(source: str) -> set[str]:
    """The identifiers of a Python module; strings and comments are prose."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "name", "arg", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value)
    return found


def in_compiled(source: str) -> set[str]:
    """The identifiers of C or Cython code, without comments and texts."""
    patterns = (r"/\*.*?\*/", r"//[^\n]*", r'""".*?"""', r'"(?:\\.|[^"\\\n])*"', r"#[^\n]*")
    code = re.sub("|".join(patterns), " ", source, flags=re.S)
    return set(re.findall(r"[A-Za-z_]\w*", code))


def words(identifier: str) -> list[str]:
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)


def replaced_words(identifiers: set[str]) -> list[str]:
    return sorted(
        f"{identifier}: {REPLACED[word.lower()]}"
        for identifier in identifiers
        for word in words(identifier)
        if word.lower() in REPLACED
    )


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_names_are_the_glossary_s(path: Path) -> None:
    assert not replaced_words(in_python(path.read_text()))


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_c_and_cython_are_the_glossary_s(path: Path) -> None:
    assert not replaced_words(in_compiled(path.read_text()))


def test_the_search_finds_what_it_is_to_find() -> None:
    python = "class Deputy:\n    def look_at(self): self._attend = 'look'  # look\n"
    assert replaced_words(in_python(python)) == [
        "Deputy: idle",
        "_attend: sweep_step",
        "look_at: check",
    ]
    compiled = '/* look */ int look_back(void) { return lookup("look"); } // look\n'
    assert replaced_words(in_compiled(compiled)) == ["look_back: check"]


def test_each_term_is_defined_once() -> None:
    page = ROOT / "docs" / "glossary.md"
    if not page.exists():
        pytest.skip("not in a source tree")
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", page.read_text(), re.M)
    single = [term for line in terms for term in line.split(", ")]
    assert len(single) == len(set(single)) > 40
    for term in ("boundary", "check", "tenure", "debt", "safety net", "void", "fallback", "pause"):
        assert term in single
