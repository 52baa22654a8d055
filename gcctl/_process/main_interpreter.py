"""Is this the main interpreter of the process? gcctl works in no other.

A process may have several interpreters: mod_wsgi and uWSGI give applications some of their own. The
others count requests by the Python twin and do nothing else. They touch nothing that the main
interpreter uses.
"""

from __future__ import annotations

import _thread
from typing import Final

REMEDY: Final = (
    "gcctl is not installed: this is not the main interpreter of the process, and gcctl works in "
    "no other. The program goes on without it. To run an application in the main interpreter, "
    "configure `WSGIApplicationGroup %{GLOBAL}` for mod_wsgi, or `single-interpreter` for uWSGI"
)


def _find_out() -> bool:
    is_main = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:
        return bool(is_main())
    try:  # CPython 3.11
        import _xxsubinterpreters as interpreters  # type: ignore[import-not-found]
    except ImportError:  # a CPython that was built without it
        return True
    return bool(interpreters.get_current() == interpreters.get_main())


IS_MAIN: Final = _find_out()
