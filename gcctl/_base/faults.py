"""Errors inside gcctl. They never reach the program: the first is logged, and all are counted."""

from __future__ import annotations

from contextlib import suppress

from gcctl._base import log


def log_fault() -> None:
    """Log the exception that is being handled. Each core calls this once. Never raises."""
    with suppress(Exception):  # a broken logging setup must not break the request either
        log.exception(
            "an error inside gcctl was kept away from a request; further ones are only counted"
        )
