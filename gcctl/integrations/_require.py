"""What an integration needs beside gcctl, and which extra has it."""

from __future__ import annotations

import re
import sys
from importlib import metadata


def require(distribution: str, minimum: str, *, extra: str) -> None:
    """Raise ImportError where `distribution` is missing or older than `minimum`.

    The message names the module that calls this, and the extra that has what it needs.
    """
    try:
        found = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        found = None
    if found is not None and _numbers(found) >= _numbers(minimum):
        return
    raise ImportError(
        f"{sys._getframe(1).f_globals['__name__']} needs {distribution} {minimum} or newer "
        f"({'not installed' if found is None else f'found {found}'}): pip install 'gcctl[{extra}]'"
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The release; what comes after it (rc1, .post2, +local) is not compared."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in release[0].split(".")) if release else ()
