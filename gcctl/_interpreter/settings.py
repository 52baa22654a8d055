"""The interpreter's GC settings: remembered, changed, restored; and what others change in them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import NamedTuple

from gcctl._base.errors import GcctlError
from gcctl._interpreter import mechanisms
from gcctl._interpreter.automatic_gc import automatic_gc


class NotRestoredError(GcctlError):
    """A setting reads differently after it was put back."""


class Settings(NamedTuple):
    """The settings of the module `gc`, without callbacks (which the core handles) and frozen
    objects."""

    enabled: bool
    """Automatic GC; while it is held off, what it will be afterwards."""
    thresholds: tuple[int, int, int]
    debug: int

    @classmethod
    def current(cls) -> Settings:
        return cls(automatic_gc.enabled, gc.get_threshold(), gc.get_debug())

    def put(self, setting: str) -> None:
        """Make the interpreter's setting what it is here.

        Raises NotRestoredError when it reads differently afterwards.
        """
        value = getattr(self, setting)
        if setting == "enabled":
            automatic_gc.set(value)
        elif setting == "thresholds":
            gc.set_threshold(*value)
        else:
            gc.set_debug(value)
        found = getattr(Settings.current(), setting)
        if found != value:
            raise NotRestoredError(f"gc {setting} was set to {value!r} and reads {found!r}")


class Drift(NamedTuple):
    """A setting that somebody else changed while gcctl was installed. It is left as it is."""

    setting: str
    ours: object
    found: object

    def __str__(self) -> str:
        return f"{self.setting}: gcctl left {self.ours!r}, somebody made it {self.found!r}"


# `enabled` comes last: when automatic GC is on again, the thresholds must be right already.
ORDER = ("thresholds", "debug", "enabled")


class Rollback:
    """Remembers the settings that it found and those that gcctl made, and undoes the difference.

    Any call may be interrupted, for example by a signal handler that raises, and repeated. What is
    restored already counts as done.
    """

    def __init__(self) -> None:
        self.original = Settings.current()
        self._ours = self.original
        self._undone = False

    def apply(self, *, enabled: bool | None, thresholds: tuple[int, int, int] | None) -> None:
        """Change settings; None leaves one as it was found."""
        # Each change is noted before it is made, so that an interrupted one is undone too.
        if thresholds is not None:
            self._ours = self._ours._replace(thresholds=thresholds)
            gc.set_threshold(*thresholds)
            # The incremental collector has no third generation and reads 0 there whatever was set.
            self._ours = self._ours._replace(thresholds=gc.get_threshold())
        if enabled is not None:
            if enabled and not gc.isenabled():
                # Else the next allocation would collect all that came while it was off.
                gc.collect(0)
            self._ours = self._ours._replace(enabled=enabled)
            self._ours.put("enabled")

    def adjust(self, thresholds: tuple[int, int, int]) -> bool:
        """Change the thresholds once more. False, and nothing is changed, where somebody else has
        changed them meanwhile, or they are restored already."""
        if self._undone or gc.get_threshold() != self._ours.thresholds:
            return False
        self.apply(enabled=None, thresholds=thresholds)
        return True

    @property
    def switches_on(self) -> bool:
        """Whether undoing will switch automatic GC on, which then goes through all that was
        allocated meanwhile."""
        return self.original.enabled and not self._ours.enabled and not gc.isenabled()

    def undo(self) -> tuple[Drift, ...]:
        """Put the original settings back, each verified by reading it again.

        Returns the settings that were left as they are, because somebody else has changed them.
        Raises NotRestoredError, after having tried all, when a setting cannot be restored.
        """
        self._undone = True
        drifts, errors = [], []
        for setting in ORDER:
            ours = getattr(self._ours, setting)
            found = getattr(Settings.current(), setting)
            original = getattr(self.original, setting)
            if found == original:
                continue
            if found != ours:
                drifts.append(Drift(setting, ours, found))
                continue
            try:
                self.original.put(setting)
            except NotRestoredError as error:
                errors.append(str(error))
            self._ours = self._ours._replace(**{setting: original})
        if errors:
            raise NotRestoredError("not restored: " + "; ".join(errors))
        return tuple(drifts)


class Watch:
    """Finds out what others have changed about the collector.

    CPython has no audit event for that, so each check compares what it finds with what the check
    before has found. Calls of `gc.freeze()` are seen by its stand-in.
    """

    def __init__(self, attached: Callable[[], bool]) -> None:
        """`attached()` says whether gcctl's entry is in the list of gc callbacks."""
        self._attached = attached
        self._list = gc.callbacks
        self._ours_coming = False
        self._seen: _State | None = self._current()

    def end(self) -> None:
        """From here on gcctl restores settings: a check that is going on reports nothing."""
        self._seen = None

    def expect_change(self) -> None:
        """gcctl itself is about to change the thresholds."""
        self._ours_coming = True

    def changed_by_us(self, done: bool) -> None:
        """gcctl has changed them, or (not `done`) has not."""
        self._ours_coming = False
        seen = self._seen
        if done and seen is not None:
            settings = seen.settings._replace(thresholds=gc.get_threshold())
            self._seen = seen._replace(settings=settings)

    def changes(self) -> tuple[str, ...]:
        """What others have changed since the last call, in words. Each change is told once."""
        if self._ours_coming:
            return ()
        before = automatic_gc.changes
        seen, found = self._seen, self._current()
        # One step with the assignment: see AutomaticGC.
        if seen is None or automatic_gc.changes != before or self._seen is not seen:
            return ()  # gcctl or another check works on it in another thread: the next check tells
        self._seen = found
        changes = [
            f"{setting}: {old!r} became {new!r}"
            for setting, old, new in zip(
                Settings._fields, seen.settings, found.settings, strict=True
            )
            if old != new
        ]
        if seen.attached and not found.attached:
            changes.append(
                "gcctl's entry was taken out of gc.callbacks: collections that others cause are "
                "no longer seen"
            )
        if seen.in_place and not found.in_place:
            changes.append("gc.callbacks became another list, which CPython does not look at")
        if found.freezes != seen.freezes:
            changes.append("gc.freeze() was called")
        return tuple(changes)

    def _current(self) -> _State:
        settings = Settings.current()
        in_place = gc.callbacks is self._list
        return _State(settings, self._attached(), in_place, mechanisms.freezes_of_others())


class _State(NamedTuple):
    settings: Settings
    attached: bool
    in_place: bool
    """Whether gc.callbacks is still the list that CPython calls."""
    freezes: int
    """How often others have called gc.freeze()."""
