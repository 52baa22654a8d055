"""The options of gcctl's pytest plugin.

It is beside the package and not in it, because pytest imports its plugins whenever it starts. A run
that does not ask for gcctl must not import it, nor fail if it cannot be imported.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("gcctl", "garbage collection by gcctl")
    group.addoption(
        "--gcctl",
        action="store_true",
        help="collect garbage between tests, by gcctl's policy, and report pauses",
    )
    group.addoption(
        "--gcctl-policy",
        metavar="NAME",
        help="do so by this policy (auto, production, ...); off: leave automatic GC alone and "
        "measure it, for later runs to be compared with",
    )


def pytest_configure(config: Any) -> None:
    if config.getoption("gcctl") or config.getoption("gcctl_policy") is not None:
        if pytest.version_tuple < (7, 4):
            raise pytest.UsageError(f"--gcctl needs pytest 7.4 or newer, not {pytest.__version__}")
        from gcctl.integrations.pytest import Plugin

        config.pluginmanager.register(Plugin(config), "gcctl-at-work")
