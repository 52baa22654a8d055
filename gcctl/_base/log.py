"""The log, `logging.getLogger("gcctl")`.

The module `logging` takes as long to import as all of gcctl. Where nobody has imported it, nobody
has set up a handler: a line below a warning would go nowhere, so it is not made.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging


def logger() -> logging.Logger:
    """gcctl's logger."""
    import logging

    return logging.getLogger("gcctl")


def informs() -> bool:
    """Whether anybody sees a line of level INFO."""
    logging = sys.modules.get("logging")
    # Another thread may be in the middle of importing it.
    return hasattr(logging, "getLogger") and logger().isEnabledFor(logging.INFO)  # type: ignore[union-attr]


def info(text: str, *args: Any) -> None:
    if informs():
        logger().info(text, *args, stacklevel=2)


def warning(text: str, *args: Any) -> None:
    logger().warning(_signed(text), *args, stacklevel=2)


def exception(text: str, *args: Any) -> None:
    """With the traceback of the exception that is being handled."""
    logger().exception(_signed(text), *args, stacklevel=2)


def _signed(text: str) -> str:
    """Where the program has set up no handler, `logging` prints the message and nothing else. So
    time, logger and process are put into it there: a log of several workers needs them."""
    if logger().hasHandlers():
        return text
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} [{os.getpid()}] gcctl: {text}"


def log_fault() -> None:
    """Log the exception being handled, once for a core; never raises. An error inside gcctl never
    reaches the program: it is logged once, and counted."""
    with suppress(Exception):  # a broken logging setup must not break the request either
        exception(
            "an error inside gcctl was kept away from a request; further ones are only counted"
        )


def is_of_a_signal(error: BaseException) -> bool:
    """Did a signal handler of the program raise it, such as a time limit?

    Only two kinds of the program's code run within gcctl: signal handlers, and handlers of logging.
    """
    modules = []
    traceback = error.__traceback__
    while traceback is not None:
        modules.append(traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        traceback = traceback.tb_next
    known = {"gcctl", "psutil", *sys.stdlib_module_names}
    return modules[-1] not in known and "logging" not in modules
