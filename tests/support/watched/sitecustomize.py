"""Watches where the finalizers of a program run, from its start: see `finalizer_threads.py`.

Python's site module runs this where this folder is in PYTHONPATH. What it sees it writes to the
file that the environment variable FINALIZERS_ELSEWHERE names.
"""

from __future__ import annotations

import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPORT = os.environ.get("FINALIZERS_ELSEWHERE")


def write(text: str) -> None:
    assert REPORT is not None
    with open(REPORT, "a", encoding="utf-8") as stream:
        stream.write(f"{text}\n")


sys.path[:] = [entry for entry in sys.path if entry != HERE]
if REPORT is not None:
    sys.path.insert(0, os.path.dirname(HERE))
    from finalizer_threads import WATCH

    del sys.path[0]
    WATCH.note = write  # type: ignore[method-assign]
    WATCH.start()

# The environment's own takes our place. Without one there is an ImportError, which the site module
# expects.
sys.path_importer_cache.pop(HERE, None)
del sys.modules[__name__]
importlib.import_module("sitecustomize")
