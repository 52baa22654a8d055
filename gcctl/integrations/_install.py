"""Installing gcctl where requests come, not where a program is loaded.

A module with an application in it is also imported by masters that only fork, by reloaders and by
commands that serve nothing. So what a framework is told is checked at once, and done later.
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
    """The complete configuration that these come to, with the environment. Raises ConfigError."""
    return settings if disabled() else gcctl.Config.resolve(config=settings)


def install_here(settings: Settings, installer: str) -> gcctl.Controller | None:
    """Install gcctl in this process and return the controller.

    None where somebody else has installed it, or where it cannot be installed: that is logged, for
    it must not break the request in which it comes up. `installer` is who does it, for the error
    that a second `gcctl.install()` gets.
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
    """Undo that; what cannot be put back is logged."""
    try:
        controller.uninstall()
    except Exception:
        with suppress(Exception):
            logger.exception("gcctl was not uninstalled")
