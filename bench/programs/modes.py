"""The programs, and the modes in which each of them runs."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import gcctl
from bench.programs.gc_setting import DISABLED, RAISED

PLAIN = "plain"
OFF = "off"
AUTO = "auto"
MODES = (PLAIN, OFF, DISABLED, RAISED, AUTO)
"""python; `gcctl run` with the policy `off`; python without automatic GC; python with high
thresholds; `gcctl run` with the policy `auto`, which is judged."""

HERE = Path(__file__).resolve().parent
SAMPLES = HERE / "samples"
GC_SETTING = str(HERE / "gc_setting.py")
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
        """The script and its arguments, as python takes them."""
        return [str(SAMPLES / self.file), "--scale", str(scale), *self.options]

    def command(self, mode: str, scale: float) -> list[str]:
        if mode == PLAIN:
            how = [sys.executable]
        elif mode in (DISABLED, RAISED):
            how = [sys.executable, GC_SETTING, mode]
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
    """Why the gcctl that is installed does not have this mode; "": it has it."""
    if mode not in (OFF, AUTO):
        return ""
    if not GCCTL.exists():
        return f"there is no {GCCTL}"
    try:
        gcctl.Config(policy=mode)
    except gcctl.GcctlError as error:
        return str(error)
    return ""
