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

TOP_LEVEL = ("__init__", "__main__")
"""The modules of the package itself. All others are in folders; before, they were beside these."""

MODULE_SUFFIXES = (".py", ".pyc", ".so", ".pyd")

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

AGAIN = "then install gcctl again (pip install --force-reinstall gcctl)"


def demand_no_leftovers(package: str = PACKAGE) -> None:
    """Raise GcctlError if modules of an older gcctl are in the package's directory."""
    try:
        names = os.listdir(package)
    except OSError:  # not in a directory: in a zip file, or frozen
        return
    leftovers = [
        name
        for name in names
        if name.endswith(MODULE_SUFFIXES) and name.partition(".")[0] not in TOP_LEVEL
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
