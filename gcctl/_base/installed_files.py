"""Whether the files of this installation belong together; if not, an error says what to remove.

They do not where a new gcctl was copied over an older one, or where an update was interrupted.
"""

from __future__ import annotations

import os

from gcctl._base.errors import GcctlError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing's own takes its time to import
    from types import ModuleType

INTERFACE = 1
"""Every compiled module has a number of this name too, and the same one.

It is raised here and in all of them when the Python files and the compiled modules change in such a
way that those of before do not fit any more.
"""

OLD_MODULES = frozenset(
    [
        "_concurrent",
        "_core",
        "_csrc",
        "_fields",
        "_impl",
        "_memory",
        "_protocol",
        "_pycore",
        "_pyentry",
        "_pymemory",
        "_pyrecorder",
        "_request",
        "adaptive",
        "alerts",
        "auto",
        "automatic",
        "batches",
        "boundary",
        "cgroup",
        "collectors",
        "concurrent",
        "concurrent_run",
        "config",
        "controller",
        "cycle_profiler",
        "cycles",
        "debt",
        "delivery",
        "deputy",
        "errors",
        "fork",
        "full_collections",
        "heap",
        "histogram",
        "holding",
        "jitter",
        "lifecycle",
        "limits",
        "monitor",
        "policy",
        "preload",
        "pressure",
        "prospects",
        "recycling",
        "report_json",
        "reporting",
        "safety_net",
        "settings",
        "staggering",
        "tenure",
        "units",
    ]
)
"""Modules that were beside `__init__` before they came into folders."""

MODULE_SUFFIXES = (".py", ".pyc", ".so", ".pyd")

AGAIN = "then install gcctl again (pip install --force-reinstall gcctl)"


def demand_no_leftovers(package: str | None = None) -> None:
    """Raise GcctlError if modules of an older gcctl are in the package's directory."""
    if package is None:
        package = os.path.dirname(os.path.dirname(os.path.abspath(globals().get("__file__", ""))))
    try:
        names = os.listdir(package)
    except OSError:  # not in a directory: in a zip file, or frozen
        return
    leftovers = [
        name
        for name in names
        if name.endswith(MODULE_SUFFIXES) and name.partition(".")[0] in OLD_MODULES
    ]
    if leftovers:
        raise GcctlError(
            f"{package} has files of an older gcctl: {', '.join(sorted(leftovers))}; "
            f"remove them, {AGAIN}"
        )


def demand_same_interface(module: ModuleType) -> None:
    """Raise GcctlError if a compiled module was built for other Python files than these."""
    found = getattr(module, "INTERFACE", None)
    if found != INTERFACE:
        raise GcctlError(
            f"{module.__file__} was built for another gcctl: its interface is {found}, that of the "
            f"Python files is {INTERFACE}; remove it, {AGAIN}"
        )
