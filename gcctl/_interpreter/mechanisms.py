"""The mechanisms of gcctl that reach into CPython or the kernel: which of them this process has.

| name | what it does | what it needs |
|---|---|---|
| `tenure` | takes objects out of reach of the collector | the generational collector |
| `stand-ins` | stands in for functions of the module `gc` | the generational collector |
| `asking` | asks the main thread to do what is due while no boundary comes | |
| `concurrent` | runs full collections beside the process | the generational collector |

All of them need the compiled core, and a compiled module that is built for 64-bit Linux only.
`GCCTL_WITHOUT=tenure,concurrent` switches mechanisms off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Final, Literal, get_args

from gcctl._base.errors import ConfigError
from gcctl._base.installed_files import demand_same_interface
from gcctl._interpreter.collector import COLLECTOR
from gcctl._process import twins
from gcctl._process.main_interpreter import IS_MAIN

Mechanism = Literal["tenure", "stand-ins", "asking", "concurrent"]

MECHANISMS: Final[tuple[Mechanism, ...]] = get_args(Mechanism)

ON_ANY_COLLECTOR: Final[frozenset[Mechanism]] = frozenset({"asking"})

VARIABLE: Final = "GCCTL_WITHOUT"

NO_CORE: Final = "the compiled core is needed"


def demand_known(environ: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigError if `GCCTL_WITHOUT` names anything but mechanisms."""
    for name in _switched_off(environ):
        if name not in MECHANISMS:
            raise ConfigError(
                f"{VARIABLE}: {name!r} is not accepted; expected names of {', '.join(MECHANISMS)}, "
                f"with commas between them"
            )


def missing(mechanism: Mechanism) -> str:
    """Why this process does without that mechanism; "": it has it."""
    return _missing(mechanism) or (layout_problem() if mechanism == "tenure" else "")


def _missing(mechanism: Mechanism) -> str:
    """As `missing()`, without examining the collector's lists."""
    if mechanism in _switched_off(os.environ):
        return f"switched off by {VARIABLE}"
    if not IS_MAIN:
        return "this is not the main interpreter of the process"
    if twins.core.implementation != "c":
        return NO_CORE
    if COLLECTOR != "generational" and mechanism not in ON_ANY_COLLECTOR:
        return f"the generational collector is needed, and this one is {COLLECTOR}"
    return NOT_BUILT


def layout_problem() -> str:
    """Examine the collector's lists. Returns why gcctl cannot tell what it has frozen from what
    others have; "": it can."""
    return str(compiled.examine_layout()) if compiled is not None else NOT_BUILT


def freezes_of_others() -> int:
    """How often others have called `gc.freeze()`, as far as is known."""
    return compiled.freezes() if compiled is not None else 0


def overview(concurrent: str) -> dict[Mechanism, str]:
    """For each mechanism, why this process does without it; "": it has it. `concurrent`: the
    answer for that one, which may have more reasons than are known here."""
    reasons = {name: _missing(name) for name in MECHANISMS} | {"concurrent": concurrent}
    if not reasons["tenure"] and compiled is not None:
        reasons["tenure"] = str(compiled.layout())
    return reasons


def in_words(reasons: Mapping[Mechanism, str]) -> str:
    """What `overview()` says: "tenure, asking; without concurrent: switched off"."""
    said = [", ".join(name for name, why in reasons.items() if not why) or "none"]
    for why in dict.fromkeys(filter(None, reasons.values())):
        names = ", ".join(name for name, its in reasons.items() if its == why)
        said.append(f"without {names}: {why}")
    return "; ".join(said)


def _switched_off(environ: Mapping[str, str]) -> tuple[str, ...]:
    named = environ.get(VARIABLE, "").split(",")
    return tuple(name.strip() for name in named if name.strip())


def _load() -> tuple[ModuleType | None, str]:
    if twins.core.implementation != "c":
        return None, NO_CORE
    try:
        from gcctl._interpreter import compiled
    except ImportError as error:
        return None, f"not supported here: {error}"
    demand_same_interface(compiled)
    return compiled, ""


compiled, NOT_BUILT = _load()
"""The compiled part of this package; None: this process has none."""
