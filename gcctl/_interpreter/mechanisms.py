"""The mechanisms of gcctl that reach into CPython or the kernel: which of them this process has.

| name | what it does |
|---|---|
| `tenure` | takes objects out of reach of the collector |
| `stand-ins` | stands in for functions of the module `gc` |
| `asking` | asks the main thread to do what is due while no boundary comes |
| `concurrent` | runs full collections beside the process |

`GCCTL_WITHOUT=tenure,concurrent` switches mechanisms off.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Final, Literal, get_args

from gcctl._base.errors import ConfigError
from gcctl._base.installed_files import demand_same_interface
from gcctl._interpreter.collector import COLLECTOR
from gcctl._process import twins

Mechanism = Literal["tenure", "stand-ins", "asking", "concurrent"]

MECHANISMS: Final = get_args(Mechanism)

VARIABLE: Final = "GCCTL_WITHOUT"


def switched_off() -> tuple[str, ...]:
    """The mechanisms that `GCCTL_WITHOUT` names. Raises ConfigError for an unknown name."""
    named = os.environ.get(VARIABLE, "").split(",")
    names = tuple(name.strip() for name in named if name.strip())
    for name in names:
        if name not in MECHANISMS:
            raise ConfigError(
                f"{VARIABLE}: {name!r} is not accepted; expected names of {', '.join(MECHANISMS)}, "
                f"with commas between them"
            )
    return names


def missing(mechanism: Mechanism) -> str:
    """Why this process does without that mechanism; "": it has it."""
    if mechanism in switched_off():
        return f"switched off by {VARIABLE}"
    if twins.core.implementation != "c":
        return "it needs the compiled core"
    if COLLECTOR != "generational":
        return f"it needs the generational collector, not the {COLLECTOR}"
    if compiled is not None and mechanism == "tenure":
        return str(compiled.examine_layout())
    return NOT_BUILT


def freezes_of_others() -> int:
    """How often others have called `gc.freeze()`, as far as is known."""
    return compiled.freezes() if compiled is not None else 0


def _load() -> tuple[ModuleType | None, str]:
    if twins.core.implementation != "c":
        return None, "it needs the compiled core"
    try:
        from gcctl._interpreter import compiled
    except ImportError as error:
        return None, f"it is not supported here: {error}"
    demand_same_interface(compiled)
    return compiled, ""


compiled, NOT_BUILT = _load()
"""The compiled part of this package; None: this process has none."""
