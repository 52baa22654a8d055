"""Threads that meet in as many places as possible."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def switching_often() -> Iterator[None]:
    """Threads take turns after a microsecond."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def in_threads(work: Callable[[], object], count: int = 4) -> None:
    """Do it in so many threads at once, and wait for them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    with switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def no_thread(*args: object) -> None:
    """In the place of `_thread.start_new_thread`."""
    raise RuntimeError("can't start new thread")
