"""Stand-ins for functions of the module `gc`, while gcctl is installed.

`gc.get_objects()`, `gc.get_referrers()` and `gc.get_freeze_count()` answer as without gcctl: what
gcctl has tenured is in generation 2 for them. Calls of `gc.freeze()` and `gc.unfreeze()` are noted
as those of others, and calls of `gc.collect()` as explicit ones.
"""

from __future__ import annotations

from gcctl._core.protocol import Core
from gcctl._interpreter import mechanisms
from gcctl._interpreter.explicit_calls import ExplicitCalls


class StandIns:
    """The stand-ins of one installation."""

    def __init__(self, core: Core, calls: ExplicitCalls) -> None:
        self._core = core
        self._calls = calls

    def start(self) -> None:
        """Does nothing where there are none (`mechanisms.missing`)."""
        if mechanisms.compiled is not None and not mechanisms.missing("stand-ins"):
            calls = self._calls
            mechanisms.compiled.stand_in(calls.begin, calls.end, self._core.explicit)

    def stop(self) -> bool:
        """Put the originals back. False where somebody has exchanged one of them since: then that
        one stays, and does what the original does."""
        return mechanisms.compiled is None or bool(mechanisms.compiled.stand_down())
