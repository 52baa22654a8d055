"""The command `gcctl`.

It is beside the package and not in it, because importing a module of a package imports the package
first. `gcctl run` needs only the command line in its first process: the process that becomes the
program imports the rest.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec


def main() -> int:
    """As `gcctl.cli.main`, with the process's own arguments."""
    if sys.argv[1:2] == ["run"] and "gcctl" not in sys.modules:
        spec = find_spec("gcctl")
        if spec is None:
            raise ModuleNotFoundError("gcctl is no longer installed", name="gcctl")
        sys.modules["gcctl"] = module_from_spec(spec)  # as it is before any of it has run
    from gcctl.cli import main as command_line

    return command_line()
