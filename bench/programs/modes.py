"""The programs that `bench/scripts.py` runs, and how it runs each of them."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from under import DISABLED, RAISED
from workers import HERE

import gcctl

PLAIN = "plain"
OFF = "off"
AUTO = "auto"
MODES = (PLAIN, OFF, DISABLED, RAISED, AUTO)
"""python; `gcctl run` with the policy `off`; python without automatic GC; python with high
thresholds; `gcctl run` with the policy `auto`, which is what is judged."""

GCCTL = Path(sysconfig.get_path("scripts")) / "gcctl"

ORDINARY = "ordinary"
HEAVY = "GC-heavy"
"""Hard on the collector: ever more objects that live long, or cyclic garbage all the time."""


class Program(NamedTuple):
    name: str
    file: str
    kind: str
    options: tuple[str, ...] = ()

    def words(self, scale: float) -> list[str]:
        """What python takes: the script, and its arguments."""
        return [str(HERE / "programs" / self.file), "--scale", str(scale), *self.options]

    def command(self, mode: str, scale: float) -> list[str]:
        if mode == PLAIN:
            how = [sys.executable]
        elif mode in (DISABLED, RAISED):
            how = [sys.executable, str(HERE / "under.py"), mode]
        else:
            how = [str(GCCTL), "run", "--policy", mode]
        return [*how, *self.words(scale)]


PROGRAMS = (
    Program("compiler", "compiler.py", HEAVY),
    Program("transform", "transform.py", ORDINARY),
    Program("orm", "orm.py", ORDINARY),
    Program("async-tree", "async_tree.py", HEAVY),
    Program("async-tree-io", "async_tree.py", HEAVY, ("--io",)),
    Program("index", "index.py", HEAVY),
    Program("markup", "markup.py", HEAVY),
    Program("cache", "cache.py", HEAVY),
    Program("pictures", "pictures.py", ORDINARY),
    Program("report", "report.py", ORDINARY),
    Program("short", "short.py", ORDINARY),
)


def why_not(mode: str) -> str:
    """What the gcctl that is installed has against it, if anything."""
    if mode not in (OFF, AUTO):
        return ""
    if not GCCTL.exists():
        return f"there is no {GCCTL}"
    try:
        gcctl.Config(policy=mode)
    except gcctl.GcctlError as error:
        return str(error)
    return ""
