"""Programs that are to print the same under gcctl as under python alone."""

from __future__ import annotations

from pathlib import Path

from processes import GCCTL_RUN, run_program

POLICIES = ("auto", "off", "production")
"""One that decides by itself, one that only measures, and one that collects by a schedule."""


def assert_as_python(source: str, directory: Path, *policies: str) -> str:
    """What it prints. `policies`: those to run it under; none given: all of `POLICIES`."""
    expected = run_program(source, directory)
    for policy in policies or POLICIES:
        printed = run_program(source, directory, words=(*GCCTL_RUN, "--policy", policy))
        assert (policy, *printed.splitlines()) == (policy, *expected.splitlines())
    return expected
