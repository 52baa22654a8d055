"""Installs gcctl where requests come, not where a program is loaded.

A module with an application is also imported by masters that only fork, by reloaders, and by
commands that serve nothing. So settings are checked at once, and gcctl is installed later.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import gcctl
from gcctl._config.config import disabled
from gcctl._lifecycle.install import install_config, installed

logger = logging.getLogger("gcctl")

Settings: TypeAlias = gcctl.Config | Mapping[str, Any] | str | os.PathLike[str]
"""As `gcctl.install(config=…)` takes them: fields, or the path of a TOML file."""


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
                logger.exception("gcctl was not installed")
            return None
    with suppress(Exception):
        logger.info("%s leaves gcctl as it is: it is installed already", installer)
    return None


def uninstall_here(controller: gcctl.Controller) -> None:
    """Undo `install_here()`; a setting that cannot be restored is logged."""
    try:
        controller.uninstall()
    except Exception:
        with suppress(Exception):
            logger.exception("gcctl was not uninstalled")
