"""Imports that are made late, in a process that may have threads and forks by then.

A fork in the middle of another thread's import leaves the child with a module that it can never
import: nobody is there to release its lock. So a fork waits for these imports.
"""

from __future__ import annotations

import os
from _thread import get_ident

from gcctl._base.clock import monotonic, sleep

WAIT_SECONDS = 5.0
"""How long a fork waits. An import takes milliseconds."""


class _Importing:
    """`with importing:` around import statements of gcctl's own modules."""

    def __init__(self) -> None:
        self._threads: list[int] = []

    def __enter__(self) -> None:
        self._threads.append(get_ident())

    def __exit__(self, *error: object) -> None:
        self._threads.remove(get_ident())

    def before_fork(self) -> None:
        me, deadline = get_ident(), monotonic.seconds() + WAIT_SECONDS
        while any(thread != me for thread in self._threads.copy()):
            if monotonic.seconds() > deadline:
                return
            sleep(0.0005)

    def after_fork(self) -> None:
        """In the child, which has no other threads."""
        self._threads = [thread for thread in self._threads if thread == get_ident()]


importing = _Importing()


def before_a_thread() -> None:
    """Import `threading` here, and not in a thread of gcctl's by the first line that it logs.

    Up to CPython 3.12 the thread that imports `threading` counts as the main thread for ever.
    """
    import threading  # noqa: F401


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=importing.before_fork)
