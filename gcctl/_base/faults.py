"""An error inside gcctl never reaches the program: it is logged once, and counted."""

from __future__ import annotations

import logging
from contextlib import suppress


def log_fault() -> None:
    """Log the exception being handled, once for a core; never raises."""
    with suppress(Exception):  # a broken logging setup must not break the request either
        logging.getLogger("gcctl").exception(
            "an error inside gcctl was kept away from a request; further ones are only counted"
        )
