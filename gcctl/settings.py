"""The interpreter's GC settings: taken down, changed, and put back where nobody else did."""

from __future__ import annotations

import gc
from typing import NamedTuple

from gcctl.errors import GcctlError


class NotRestoredError(GcctlError):
    """A setting reads differently after it was put back."""


class Settings(NamedTuple):
    """What `gc` lets one set, but for callbacks (the core's business) and frozen objects."""

    enabled: bool
    thresholds: tuple[int, int, int]
    debug: int

    @classmethod
    def current(cls) -> Settings:
        return cls(gc.isenabled(), gc.get_threshold(), gc.get_debug())

    def put(self, setting: str) -> None:
        """Make the interpreter's setting what it is here.

        Raises NotRestoredError when it reads differently afterwards.
        """
        value = getattr(self, setting)
        if setting == "enabled":
            (gc.enable if value else gc.disable)()
        elif setting == "thresholds":
            gc.set_threshold(*value)
        else:
            gc.set_debug(value)
        found = getattr(Settings.current(), setting)
        if found != value:
            raise NotRestoredError(f"gc {setting} was set to {value!r} and reads {found!r}")


class Drift(NamedTuple):
    """A setting that somebody else changed while gcctl was installed; it is left as it is."""

    setting: str
    ours: object
    found: object

    def __str__(self) -> str:
        return f"{self.setting}: gcctl left {self.ours!r}, somebody made it {self.found!r}"


# `enabled` comes last: young objects and thresholds are to be in order when automatic GC is back.
ORDER = ("thresholds", "debug", "enabled")


class Rollback:
    """Remembers the settings found and the ones made of them, and undoes the difference.

    May be interrupted anywhere, by a signal that raises for example, and asked again: each setting
    that is back counts as done.
    """

    def __init__(self) -> None:
        self.original = Settings.current()
        self._ours = self.original

    def apply(self, *, enabled: bool | None, thresholds: tuple[int, int, int] | None) -> None:
        """Change settings; None leaves one as it was found."""
        # What we want is written down before it is done: an interruption in between is undone too.
        if thresholds is not None:
            self._ours = self._ours._replace(thresholds=thresholds)
            gc.set_threshold(*thresholds)
            # The incremental collector has no third generation and reads 0 there whatever was set.
            self._ours = self._ours._replace(thresholds=gc.get_threshold())
        if enabled is not None:
            if enabled and not gc.isenabled():
                gc.collect(
                    0
                )  # else the next allocation would collect all that came while it was off
            self._ours = self._ours._replace(enabled=enabled)
            self._ours.put("enabled")

    @property
    def switches_on(self) -> bool:
        """True when undoing will start automatic GC, which then meets all that was allocated."""
        return self.original.enabled and not gc.isenabled()

    def undo(self) -> tuple[Drift, ...]:
        """Put the original settings back, each verified by reading it again.

        Returns the ones left alone because they are no longer what `apply` made them. Raises
        NotRestoredError, after having tried all, when one does not take.
        """
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
