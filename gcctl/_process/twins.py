"""The choice between the twins, made here and nowhere else, and the process's one core.

`GCCTL_IMPL=c` or `python` asks for one; without it the compiled one is taken where it was built.
Interpreters other than the main one have the Python twin.
"""

from __future__ import annotations

import importlib.util
import os

from gcctl._base.clock import monotonic
from gcctl._base.errors import GcctlError
from gcctl._base.installed_files import demand_no_leftovers, demand_same_interface
from gcctl._core.protocol import Core
from gcctl._memory.protocol import Memory
from gcctl._process.main_interpreter import IS_MAIN

CHOICES = ("c", "python")


def _choose(asked: str) -> tuple[type[Core], type[Memory], str]:
    """The twin's classes, and a slug that says why it was taken."""
    if asked not in ("", *CHOICES):
        raise GcctlError(f"GCCTL_IMPL={asked!r}: expected one of {', '.join(CHOICES)}, or nothing")
    found = importlib.util.find_spec("gcctl._core.compiled")
    if not IS_MAIN or asked == "python" or (not asked and found is None):
        from gcctl._core.pure import Core as PyCore
        from gcctl._memory.pure import Memory as PyMemory

        if not IS_MAIN:  # compiled modules have one state for all interpreters
            return PyCore, PyMemory, "not-the-main-interpreter"
        return PyCore, PyMemory, "python-asked-for" if asked else "c-not-built"
    # An extension that was built and cannot be imported is an error, not a reason to take the slow
    # twin.
    try:
        import gcctl._core.compiled as c_core
        import gcctl._memory.compiled as c_memory
    except ImportError as error:
        why = "it was not built (GCCTL_BUILD_EXT=no, or no compiler)"
        if found is not None:
            why = f"{error} (if {found.origin} is of another gcctl, remove it)"
        raise GcctlError(
            f"the compiled core cannot be imported: {why}; "
            f"reinstall gcctl with a C compiler, or set GCCTL_IMPL=python"
        ) from error
    demand_same_interface(c_core)
    demand_same_interface(c_memory)
    return c_core.Core, c_memory.Memory, "c-asked-for" if asked else "c-built"


demand_no_leftovers()

core_class, memory_class, reason = _choose(os.environ.get("GCCTL_IMPL", ""))

core: Core = core_class()
"""The core of this process, which is never replaced.

A process has one collector and one list of gc callbacks. And what `gcctl.request()` once returned
must go on working.
"""

memory: Memory = memory_class()
"""The memory reader of this process."""

if core.implementation == "c":
    monotonic.now_ns = core.now
