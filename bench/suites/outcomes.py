"""How the tests of one run ended, as its JUnit XML file says."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

Outcomes = dict[str, str]
"""How each test ended, by its name."""

PASSED = "passed"
NOT_RUN = "not run"
WORST_FIRST = ("error", "failure", "skipped")
"""The elements that say how a test ended. One that failed may have an error of its teardown too."""

WHOLE = "the run itself"
"""Stands among the names of tests, where a run has left no results."""


WITH_RESULTS = "with results"


def read(file: Path) -> Outcomes:
    found: Outcomes = {}
    for case in ElementTree.parse(file).iter("testcase"):
        ends = (end for end in WORST_FIRST if case.find(end) is not None)
        name = _name(case)
        found[name] = _worse(next(ends, PASSED), found.get(name, PASSED))
    return found


def _name(case: ElementTree.Element) -> str:
    """As the runner takes it to run this test alone."""
    file, name = case.get("file"), case.get("name", "")
    if file is None:  # CPython's, which has all in the name
        return name
    module = file.removesuffix(".py").replace("/", ".")
    inside = case.get("classname", "").removeprefix(module).strip(".").replace(".", "::")
    return "::".join(filter(None, (file, inside, name)))


def _worse(one: str, other: str) -> str:
    order = (*WORST_FIRST, PASSED)
    return min(one, other, key=order.index)


def end_of(name: str, outcomes: Outcomes) -> str:
    return outcomes.get(name, WITH_RESULTS if name == WHOLE else NOT_RUN)
