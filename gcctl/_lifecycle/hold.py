"""`hold()`: a section of the program during which collections wait."""

from __future__ import annotations

import _thread
from types import TracebackType

from gcctl._base.clock import monotonic, sleep
from gcctl._base.late import before_a_thread
from gcctl._base.public import public
from gcctl._config.config import disabled
from gcctl._config.fields import DURATION, parse
from gcctl._core.protocol import Core
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._process import twins
from gcctl._process.forked import in_child

LINGER_SECONDS = 1.0
"""How long the deadline thread stays when there are no sections. To start a thread takes longer
than most sections."""


class Section:
    """A `hold` that has been entered and not left yet."""

    __slots__ = ("ends_at", "holds_core")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        """Its deadline, in seconds of `monotonic`."""
        self.holds_core = False


class Sections:
    """The sections of a process, in whichever threads they are.

    There is no lock, for the reason that `AutomaticGC` gives.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._open: dict[Section, None] = {}
        # The deadline of the first of the sections that overlap: nothing is held any longer.
        self._ends_at = 0.0
        self._deadline_thread: object = None  # stands for the thread that runs; None: none does

    def enter(self, section: Section) -> None:
        """`leave()` undoes it, even where it was interrupted."""
        self._core.notice_fork()
        before_a_thread()
        self._core.hold()
        section.holds_core = True  # one step with the end of the call: see AutomaticGC
        automatic_gc.hold(section)
        if not self._open:
            self._ends_at = section.ends_at
        self._open[section] = None  # from here on its deadline counts
        if self._deadline_thread is None:
            self._deadline_thread = mine = object()
            try:
                _thread.start_new_thread(self._watch_deadlines, (mine,))
            except RuntimeError:  # no threads at this moment, or no more
                self._deadline_thread = None

    def leave(self, section: Section) -> None:
        """Does nothing for a section that its deadline has ended. To be called again where it was
        interrupted."""
        if section.holds_core:
            section.holds_core = False
            self._core.release()
        automatic_gc.release(section)
        self._open.pop(section, None)

    def after_fork(self) -> None:
        """In the child, where nobody holds anything."""
        for section in self._open:
            section.holds_core = False
        self._open = {}
        self._deadline_thread = None

    def _watch_deadlines(self, mine: object) -> None:
        """What the thread does: end sections at their deadlines."""
        idle_since = monotonic.seconds()
        while self._deadline_thread is mine:
            now = monotonic.seconds()
            found = list(self._open)
            for section in found:
                if min(section.ends_at, self._ends_at) <= now:
                    self.leave(section)
            if found:
                idle_since = now
            elif now - idle_since > LINGER_SECONDS:
                self._deadline_thread = None
                if not self._open:  # one may have begun just before that line
                    return
                self._deadline_thread = mine
            ends_at = min((section.ends_at for section in found), default=now + LINGER_SECONDS)
            ends_at = min(ends_at, self._ends_at) if found else ends_at
            # At most 10 ms: a section that begins meanwhile may have an earlier deadline.
            sleep(min(max(ends_at - now, 0.001), 0.01))


sections = Sections(twins.core)
"""Of this process."""

in_child(sections.after_fork)


@public
class hold:
    """`with gcctl.hold():` around a section that no collection shall interrupt, in any thread.

    Automatic GC is held off, and what is due at boundaries waits, until the section ends. It waits
    no longer than `deadline` ("10ms", or seconds as a number), so that memory stays bounded. If
    sections overlap, all of them end at the deadline of the one that began first. Explicit calls of
    `gc.collect()` still collect.

    It works with or without `install()`. A `hold` may be entered again while entered, and be shared
    between threads. Raises ConfigError for a deadline that is not from 1 ns to 1 h.
    """

    __slots__ = ("_deadline", "_sections")

    def __init__(self, deadline: float | str = 1.0) -> None:
        self._deadline: float = parse(DURATION, "deadline", deadline)
        self._sections: list[Section] = []

    def __enter__(self) -> hold:
        section = Section(monotonic.seconds() + self._deadline)
        self._sections.append(section)
        if disabled():
            return self
        try:
            sections.enter(section)
        except BaseException:  # a signal handler's: there will be no __exit__
            sections.leave(self._sections.pop())
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sections.leave(self._sections.pop())
