"""An error inside gcctl never reaches the program: it is logged once, and counted."""

from __future__ import annotations

from contextlib import suppress

from gcctl._base import log


def log_fault() -> None:
    """Log the exception being handled, once for a core; never raises."""
    with suppress(Exception):  # a broken logging setup must not break the request either
        log.exception(
            "an error inside gcctl was kept away from a request; further ones are only counted"
        )
