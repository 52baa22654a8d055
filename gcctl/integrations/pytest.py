"""A test suite under gcctl: each test is a request, so collections come between tests.

`pytest --gcctl` does it; docs/integrations/pytest.md has the rest. The options are in the module
`_gcctl_pytest`, which imports this one if they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import pytest

import gcctl
from gcctl._base.clock import monotonic
from gcctl._process.twins import core
from gcctl.integrations._pytest_report import Baselines, Collected, lines

OUTPUT = "gcctl"
"""Key in the results that a worker of pytest-xdist sends to the process that started it."""


class Plugin:
    """One run of pytest, in the process that was started or in a worker of pytest-xdist.

    Raises pytest.UsageError for an unknown policy.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._policy = config.getoption("gcctl_policy")
        try:
            self._policy = gcctl.Config.resolve(self._policy).policy
        except gcctl.ConfigError as error:
            raise pytest.UsageError(f"--gcctl: {error}") from error
        self._controller: gcctl.Controller | None = None
        self._inside_ns = 0
        self._tests = 0
        self._digest = 0
        self._processes: list[Collected] = []
        self._missing = 0
        self._begun = monotonic.seconds()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        if self._has_workers():  # the workers run the tests
            return
        try:
            self._controller = gcctl.install(self._policy)
        except gcctl.GcctlError as error:
            raise pytest.UsageError(f"--gcctl: {error}") from error

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        begun_ns = core.paused_ns()
        with gcctl.request():
            yield
            self._inside_ns += max(core.paused_ns() - begun_ns, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            self._tests += 1
            # A sum, so that it is the same in whichever order the tests ran.
            name = blake2b(report.nodeid.encode(), digest_size=8).digest()
            self._digest = (self._digest + int.from_bytes(name)) % 2**64

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        controller, self._controller = self._controller, None
        if controller is None:
            return
        controller.uninstall()
        if controller.stats().policy is None:  # GCCTL_DISABLE
            return
        collected = Collected.of(controller.stats(), self._inside_ns)
        self._processes.append(collected)
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[OUTPUT] = collected._asdict()

    def pytest_unconfigure(self) -> None:
        """pytest_sessionfinish is not called where another plugin's pytest_sessionstart failed."""
        if self._controller is not None:
            self._controller.uninstall()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A hook of pytest-xdist: a worker has ended."""
        output = getattr(node, "workeroutput", {}).get(OUTPUT)
        if output is None:
            self._missing += 1
        else:
            self._processes.append(Collected(**output))

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        terminalreporter.section(f"gcctl: policy {self._policy}")
        if not self._processes:
            terminalreporter.line("not installed in any process that has reported")
            return
        run = Collected.total(self._processes)
        baselines = Baselines(
            getattr(self._config, "cache", None), f"{len(self._processes)}-{self._digest:x}"
        )
        seconds = monotonic.seconds() - self._begun
        complete = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self._policy == "off" and complete and not self._missing:
            baselines.keep(run, seconds)
        for line in lines(self._policy, run, seconds, self._tests, baselines.find()):
            terminalreporter.line(line)
        if self._missing:
            terminalreporter.line(f"without {self._missing} workers that did not report")

    def _has_workers(self) -> bool:
        options = self._config.option
        is_worker = hasattr(self._config, "workerinput")
        return not is_worker and getattr(options, "dist", "no") != "no"
