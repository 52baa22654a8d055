"""The choice between the twins, made here and nowhere else, and the process's one core.

`GCCTL_IMPL=c` or `python` asks for one; without it the compiled one is taken where it was built.
"""

from __future__ import annotations

import importlib.util
import os

from gcctl._base.errors import GcctlError
from gcctl._core.protocol import Core
from gcctl._memory.protocol import Memory

CHOICES = ("c", "python")


def _choose(asked: str) -> tuple[type[Core], type[Memory], str]:
    """The twin's classes, and a slug that says why it was taken."""
    if asked not in ("", *CHOICES):
        raise GcctlError(f"GCCTL_IMPL={asked!r}: expected one of {', '.join(CHOICES)}, or nothing")
    built = importlib.util.find_spec("gcctl._core.compiled") is not None
    if asked == "python" or (not asked and not built):
        from gcctl._core.pure import Core as PyCore
        from gcctl._memory.pure import Memory as PyMemory

        return PyCore, PyMemory, "python-asked-for" if asked else "c-not-built"
    # An extension that is there and cannot be imported is a broken build, never a reason for the
    # slow twin.
    try:
        from gcctl._core.compiled import Core as CCore
        from gcctl._memory.compiled import Memory as CMemory
    except ImportError as error:
        if "subinterpreters" in str(error):
            raise GcctlError(f"gcctl works in the main interpreter only: {error}") from error
        why = str(error) if built else "it was not built (GCCTL_BUILD_EXT=no, or no compiler)"
        raise GcctlError(
            f"the compiled core cannot be imported: {why}; "
            f"reinstall gcctl with a C compiler, or set GCCTL_IMPL=python"
        ) from error
    return CCore, CMemory, "c-asked-for" if asked else "c-built"


core_class, memory_class, reason = _choose(os.environ.get("GCCTL_IMPL", ""))

core: Core = core_class()
"""The core of this process. A process has one collector and one list of gc callbacks, and what
`gcctl.request()` once returned must go on working, so this object is never replaced."""

memory: Memory = memory_class()
"""The memory of this process."""

if hasattr(os, "register_at_fork"):
    # Here and not at install(): requests are counted without it, and the child has none of them.
    os.register_at_fork(after_in_child=core.after_fork)
    os.register_at_fork(after_in_child=memory.after_fork)
