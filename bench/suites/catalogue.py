"""The suites that are run, and the differences that are known, with the reason for each."""

from __future__ import annotations

from typing import NamedTuple

PYTEST = "pytest"
CPYTHON = "cpython"
"""What runs a suite: pytest, or CPython's own `python -m test`."""


class Part(NamedTuple):
    """What is run in a process of its own."""

    tests: str
    """A file or folder below that of the suite, or the name of one of CPython's tests."""
    options: tuple[str, ...] = ()


class Suite(NamedTuple):
    name: str
    runner: str
    parts: tuple[Part, ...]
    distribution: str = ""
    """Whose source distribution has the tests, with its version. "": they are there already."""
    requirements: tuple[str, ...] = ()
    """What else the tests need, as pip takes it."""
    quick: bool = False
    """Whether `--quick` runs it."""


SUITES = (
    Suite(
        "cpython-gc",
        CPYTHON,
        (Part("test_gc"), Part("test_weakref")),
        quick=True,
    ),
    Suite(
        "cpython",
        CPYTHON,
        (
            Part("test_threading"),
            Part("test_asyncio"),
            Part("test_io"),
            Part("test_fork1"),
            Part("test_subprocess"),
            Part("test_multiprocessing_fork"),
        ),
    ),
    Suite("flask", PYTEST, (Part("tests"),), "flask==3.1.2", ("pytest<9",)),
    Suite(
        "werkzeug",
        PYTEST,
        (Part("tests", ("-p", "pytest_timeout", "--timeout=60")),),
        "werkzeug==3.1.3",
        ("pytest<9", "pytest-timeout", "ephemeral-port-reserve", "cryptography", "watchdog"),
    ),
    Suite(
        "sqlalchemy",
        PYTEST,
        (
            Part("test/base"),
            Part("test/engine"),
            Part("test/aaa_profiling/test_memusage.py", ("-m", "")),
        ),
        "sqlalchemy==2.0.44",
        ("pytest<9", "greenlet"),
    ),
)

KNOWN = {
    "test.test_gc.GCTests.test_get_count": "gcctl makes objects when a collection ends, and "
    "leaves some in free lists: CPython counts the former, and not what it takes from the latter",
}
"""Why a test ends otherwise under gcctl, where that is meant, by its name."""
