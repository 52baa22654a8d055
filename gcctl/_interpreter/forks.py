"""A fork in the middle of another thread's collection leaves the child with a dead collector.

There is no error: every later collection in the child just returns at once. So a fork waits for a
collection that is running. And from the hook before a fork to the hooks after it, no collection
begins at a boundary and none automatically. An explicit `gc.collect()` of another thread can still
get in between.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress

from gcctl._base import log
from gcctl._base.clock import monotonic, sleep
from gcctl._core.protocol import Core
from gcctl._interpreter.automatic_gc import automatic_gc

WAIT_SECONDS = 5.0
"""How long a fork waits for another thread's collection to end. It is longer than any collection
takes. It is limited because a finalizer may be waiting for the thread that forks."""


class ForkGuard:
    """The hooks around forks. Several threads may fork at once."""

    def __init__(self, core: Core, is_installed: Callable[[], bool]) -> None:
        self._core = core
        self._is_installed = is_installed
        self._forking: set[int] = set()  # threads whose forks hold collections off

    def before(self) -> None:
        if not self._is_installed():
            return
        self._forking.add(get_ident())
        self._core.hold()
        automatic_gc.hold()
        deadline = monotonic.seconds() + WAIT_SECONDS
        # This loop also lets a pending collection run now: up to 3.12.2, disable() does not cancel
        # it.
        while self._core.busy_elsewhere():
            if monotonic.seconds() > deadline:
                with suppress(Exception):
                    log.warning("forking while a thread collects: the child's GC will not work")
                return
            sleep(0.0005)

    def after_in_parent(self) -> None:
        if get_ident() not in self._forking:
            return
        self._forking.discard(get_ident())
        self._core.release()
        automatic_gc.release()

    def after_in_child(self) -> None:
        self._forking.clear()  # the child makes none of these forks
