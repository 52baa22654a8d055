"""Installs gcctl where requests come, not where a program is loaded.

A module with an application is also imported by masters that only fork, by reloaders, and by
commands that serve nothing. So settings are checked at once, and gcctl is installed later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import gcctl
from gcctl._base import log
from gcctl._config.config import disabled
from gcctl._interpreter.collector import COLLECTOR
from gcctl._lifecycle.install import install_config, installed
from gcctl._process.twins import core

EXPECTED_NS = 30 * 10**9
"""How long after the first request of a middleware gcctl should be installed."""

Settings: TypeAlias = gcctl.Config | Mapping[str, Any] | str | os.PathLike[str]
"""As `gcctl.install(config=…)` takes them: fields, or the path of a TOML file."""


def acts(config: gcctl.Config) -> bool:
    """Whether gcctl may change anything by itself: it only measures under the policy `off`, and
    where it does not know the collector."""
    return config.policy != "off" and COLLECTOR != "unknown"


def checked(settings: Settings) -> Settings:
    """The complete configuration: these settings and the environment. Raises ConfigError.

    With GCCTL_DISABLE=1 the settings as they are, unchecked.
    """
    return settings if disabled() else gcctl.Config.resolve(config=settings)


def install_here(settings: Settings, installer: str) -> gcctl.Controller | None:
    """Install gcctl in this process and return the controller.

    None where somebody else has installed it, or where it cannot be installed. That is logged and
    not raised, because it must not break the request in which it happens. `installer` is named in
    the error that a second `gcctl.install()` gets.
    """
    try:
        if disabled():
            return gcctl.install()  # which says so
        if installed() is None:
            return install_config(gcctl.Config.resolve(config=settings), installer)
    except Exception:
        if installed() is None:  # else another thread was faster
            with suppress(Exception):  # a broken logging setup
                log.exception("gcctl was not installed")
            return None
    with suppress(Exception):
        log.info("%s leaves gcctl as it is: it is installed already", installer)
    return None


def uninstall_here(controller: gcctl.Controller) -> None:
    """Undo `install_here()`; a setting that cannot be restored is logged."""
    try:
        controller.uninstall()
    except Exception:
        with suppress(Exception):
            log.exception("gcctl was not uninstalled")


class _Expected:
    """Requests pass a middleware that installs nothing. Somebody else should have installed gcctl;
    if nobody does, that is said once."""

    def __init__(self) -> None:
        self._since_ns = 0  # the first such request
        self._said = False

    def ask(self) -> bool:
        """To be called at a request. Returns whether to call it again at the next one."""
        with suppress(Exception):  # a broken logging setup must not break the request
            if self._said or installed() is not None or disabled():
                return False
            now = core.now()
            if not self._since_ns:
                self._since_ns = now
            if now - self._since_ns < EXPECTED_NS:
                return True
            self._said = True
            log.warning(
                "gcctl's middleware has seen requests for %d s, and gcctl is not installed in this "
                "process: give the middleware `install={}`, or the application gcctl's lifespan, "
                "or call gcctl.install(). GCCTL_DISABLE=1 says that it is not to be installed",
                EXPECTED_NS // 10**9,
            )
        return False


expected = _Expected()
