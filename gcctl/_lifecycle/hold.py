"""`hold()`: a section of the program during which collections wait."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from gcctl._base.public import public
from gcctl._config.config import disabled
from gcctl._config.fields import DURATION, parse
from gcctl._core.protocol import Core
from gcctl._interpreter.asking import NEVER, Alarm, AlarmThread, asks
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._process import twins
from gcctl._process.forked import in_child

UNANSWERED_NS: Final = 10_000_000
"""If the main thread does not end the sections so long after their deadline, automatic GC is
enabled without it."""


class Section:
    """A `hold` that has been entered and not left yet."""

    __slots__ = ("ends_at", "holds_core")

    def __init__(self, ends_at: int) -> None:
        self.ends_at = ends_at
        """Its deadline, in nanoseconds of the core's clock."""
        self.holds_core = False


class Sections:
    """The sections of a process, in whichever threads they are.

    The main thread ends them at their deadline. Where it does not answer, only automatic GC is
    enabled then. The rest is done by the next check at a boundary, or the next `hold`. Where nobody
    can be asked, as in the Python twin, a thread ends them: it runs no code of the program, because
    to enable automatic GC is the last thing that it does.

    There is no lock, for the reason that `AutomaticGC` gives.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._open: dict[Section, None] = {}
        # The deadline of the first of the sections that overlap: nothing is held any longer.
        self._ends_at = 0
        self._asks: bool | None = None  # None: not known yet
        self._alarm = Alarm("HOLD", lambda waited_ns: self.end_overdue())
        self._thread = AlarmThread(self._end_in_thread)

    def enter(self, section: Section) -> None:
        """`leave()` undoes it, even where it was interrupted."""
        self._core.notice_fork()
        if self._open:
            self.end_overdue()
        self._core.hold()
        section.holds_core = True  # one step with the end of the call: see AutomaticGC
        automatic_gc.hold(section)
        if self._open:
            self._open[section] = None  # from here on its deadline counts
            self._set_alarm()
            return
        self._ends_at = section.ends_at
        self._open[section] = None
        self._set_alarm_at(section.ends_at, section.ends_at)

    def leave(self, section: Section) -> None:
        """Does nothing for a section that its deadline has ended. To be called again where it was
        interrupted."""
        self._release_core(section)
        automatic_gc.release(section)
        self._forget(section)

    def end_overdue(self) -> None:
        """End the sections whose deadline has passed."""
        for section in self._overdue():
            self.leave(section)
        if self._open:
            self._set_alarm()

    def _end_in_thread(self) -> None:
        """Enabling automatic GC comes last. No signal interrupts a thread in between."""
        overdue = self._overdue()
        for section in overdue:
            self._release_core(section)
            self._forget(section)
        if self._open:
            self._set_alarm()
        for section in overdue:
            automatic_gc.release(section)

    def _overdue(self) -> list[Section]:
        sections = list(self._open)
        now = self._core.now()
        return [section for section in sections if min(section.ends_at, self._ends_at) <= now]

    def _release_core(self, section: Section) -> None:
        if section.holds_core:
            section.holds_core = False
            self._core.release()

    def _forget(self, section: Section) -> None:
        self._open.pop(section, None)
        if not self._open:
            self._alarm.clear()
            self._thread.clear()

    def after_fork(self) -> None:
        """In the child, where nobody holds anything."""
        for section in self._open:
            section.holds_core = False
        self._open = {}
        self._thread.after_fork()

    def _set_alarm(self) -> None:
        """For the next deadline that has not passed."""
        now = self._core.now()
        deadlines = [min(section.ends_at, self._ends_at) for section in list(self._open)]
        coming = [deadline for deadline in deadlines if deadline > now] or deadlines
        if coming:  # else another thread has left the last one
            self._set_alarm_at(min(coming), max(deadlines))

    def _set_alarm_at(self, first_ns: int, last_ns: int) -> None:
        """The first and the last deadline."""
        if self._asks is None:
            self._asks = asks()
        if not self._asks:
            self._thread.set(first_ns)
            return
        # Others that hold automatic GC off may do so for longer.
        alone = automatic_gc.enabled and len(automatic_gc.holders) == len(self._open)
        self._alarm.set(first_ns, last_ns + UNANSWERED_NS if alone else NEVER)


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
        section = Section(twins.core.now() + int(self._deadline * 1e9))
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
