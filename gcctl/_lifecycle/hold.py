"""`hold()`: no collection that can wait, for the length of a section that must not be stopped."""

from __future__ import annotations

import _thread
import os
import time
from types import TracebackType

from gcctl._base.public import public
from gcctl._config.config import disabled
from gcctl._config.fields import DURATION, parse
from gcctl._core.protocol import Core
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._process import twins

LINGER_SECONDS = 1.0
"""How long the thread that minds deadlines stays when there are none: starting one takes longer
than most sections."""


class Section:
    """One time that a `hold` was entered."""

    __slots__ = ("ends_at", "holds_core")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        """Of `time.monotonic()`."""
        self.holds_core = False


class Holding:
    """The sections of a process, whichever threads they are in.

    Without a lock, as AutomaticGC is.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sections: dict[Section, None] = {}
        self._ends_at = 0.0  # of the first of those that overlap: no later is anything held
        self._minder: object = None  # the thread that minds deadlines, or None

    def enter(self, section: Section) -> None:
        """`leave` undoes it, also where it was interrupted."""
        self._core.hold()
        section.holds_core = True  # one step with the end of that call
        automatic_gc.hold(section)
        if not self._sections:
            self._ends_at = section.ends_at
        self._sections[section] = None  # from here on its deadline counts
        if self._minder is None:
            self._minder = mine = object()
            try:
                _thread.start_new_thread(self._mind, (mine,))
            except RuntimeError:  # no threads at this moment, or no more
                self._minder = None

    def leave(self, section: Section) -> None:
        """Does nothing for one whose deadline has passed. May be asked again where it was
        interrupted."""
        if section.holds_core:
            section.holds_core = False
            self._core.release()
        automatic_gc.release(section)
        self._sections.pop(section, None)

    def after_fork(self) -> None:
        """In the child, where nobody holds anything."""
        for section in self._sections:
            section.holds_core = False
        self._sections = {}
        self._minder = None

    def _mind(self, mine: object) -> None:
        idle_since = time.monotonic()
        while self._minder is mine:
            now = time.monotonic()
            sections = list(self._sections)
            for section in sections:
                if min(section.ends_at, self._ends_at) <= now:
                    self.leave(section)
            if sections:
                idle_since = now
            elif now - idle_since > LINGER_SECONDS:
                self._minder = None
                if not self._sections:  # one may have begun just before that line
                    return
                self._minder = mine
            ends_at = min((section.ends_at for section in sections), default=now + LINGER_SECONDS)
            ends_at = min(ends_at, self._ends_at) if sections else ends_at
            # A section that begins meanwhile may end sooner than those that are there.
            time.sleep(min(max(ends_at - now, 0.001), 0.01))


holding = Holding(twins.core)
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=holding.after_fork)


@public
class hold:
    """`with gcctl.hold():` around a section that no collection is to stop, in any thread.

    Boundaries owe their collections, and automatic GC is held off, until the section ends or its
    `deadline` ("10ms", or seconds as a number) has passed, so that memory stays bounded. Of
    sections that overlap, all end with the deadline of the one that began first. Explicit
    calls of `gc.collect()` still collect. It acts with or without `install()`, may be entered
    again while entered, and shared between threads. Raises ConfigError for a deadline that is not
    from 1 ns to 1 h.
    """

    __slots__ = ("_deadline", "_sections")

    def __init__(self, deadline: float | str = 1.0) -> None:
        self._deadline: float = parse(DURATION, "deadline", deadline)
        self._sections: list[Section] = []

    def __enter__(self) -> hold:
        section = Section(time.monotonic() + self._deadline)
        self._sections.append(section)
        if disabled():
            return self
        try:
            holding.enter(section)
        except BaseException:  # a signal handler's: there will be no __exit__
            holding.leave(self._sections.pop())
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        holding.leave(self._sections.pop())
