"""The one error for a framework that is missing or too old."""

from __future__ import annotations

import re
from importlib import metadata


def require(distribution: str, minimum: str, *, extra: str) -> None:
    """Raise ImportError unless `distribution` is installed in version `minimum` or newer.

    `extra` is the extra of gcctl that installs it, and the name of the integration that asks.
    """
    try:
        found = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        found = ""
    if _numbers(found) < _numbers(minimum):
        raise ImportError(
            f"gcctl.integrations.{extra} needs {distribution} {minimum} or newer "
            f"({f'found {found}' if found else 'it is not installed'}): "
            f"pip install 'gcctl[{extra}]'"
        )


def _numbers(version: str) -> list[int]:
    """Those that it begins with: a pre-release counts as the release."""
    release = re.match(r"[0-9.]*", version)
    return [int(part) for part in release[0].split(".") if part] if release else []
