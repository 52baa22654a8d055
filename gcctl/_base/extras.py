"""The distributions that an integration needs beside gcctl, and the extra that installs them."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec


def require(distribution: str, minimum: str, *, extra: str) -> None:
    """Raise ImportError if `distribution` is missing or older than `minimum`.

    The message names the module that calls this, and the extra to install. A package without
    metadata that can be imported, as in a frozen program, counts as new enough.
    """
    try:
        found = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        found = None
    if _is_there(distribution) if found is None else _numbers(found) >= _numbers(minimum):
        return
    raise ImportError(
        f"{sys._getframe(1).f_globals['__name__']} needs {distribution} {minimum} or newer "
        f"({'not installed' if found is None else f'found {found}'}): pip install 'gcctl[{extra}]'"
    )


def _is_there(distribution: str) -> bool:
    """Whether its package can be imported. The package has the name of the distribution, with a `_`
    or a dot (opentelemetry.sdk) for each hyphen."""
    for package in (distribution.replace("-", "_"), distribution.replace("-", ".")):
        with suppress(ModuleNotFoundError):  # not even the package around it exists
            if find_spec(package) is not None:
                return True
    return False


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of the release. A part after them (rc1, .post2, +local) is not compared."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in release[0].split(".")) if release else ()
