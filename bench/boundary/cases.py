"""What is measured: statements, and the state of the process in which each of them runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import psutil

import gcctl
from bench.boundary import compiled_floors
from bench.boundary.tutorial import RequestGC
from bench.support.subjects import CPYTHON, C
from gcctl._core.protocol import Orders
from gcctl._core.pure import Core as Twin
from gcctl._core.request import make_context
from gcctl._memory.cgroup import MemoryGroups
from gcctl._memory.protocol import Memory, Threshold
from gcctl._memory.pure import Memory as TwinMemory
from gcctl._process import twins

NEVER = 10**9
"""Requests between two collections when nothing is to be due: the most that a Config accepts."""

TWIN = "gcctl, Python twin"
SOURCE = "source document, Python"
FLOOR = "floor, empty Cython"
FORM = "empty, in gcctl's form"
PSUTIL = "psutil"

SHARE = "90%"
COUNTING = "with gcctl.request(): pass # under auto"
"""Reads the allocation count at each boundary."""


Ready = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Case:
    """One statement, in a process that `ready()` has put in order for it."""

    group: str
    subject: str
    statement: str
    ready: Ready = nullcontext

    @property
    def name(self) -> str:
        return f"{self.group}: {self.subject}: {self.statement}"


def install(**fields: Any) -> gcctl.Controller:
    """gcctl as users install it, with a schedule of nothing but what is given here; no reports."""
    nothing = {
        "gen0_every": NEVER,
        "gen1_every": NEVER,
        "gen2_every": NEVER,
        "report_every": NEVER,
        "emergency_interval": None,
        "check_interval": "1h",
        "max_pause": "1h",
        "final_collection": False,
    }
    return gcctl.install(**{"policy": "production"} | nothing | fields)


@contextmanager
def started(core: Any, gen0_every: int = NEVER, gen2_every: int = NEVER) -> Iterator[None]:
    """A core made by hand, started as install() would."""
    core.start(Orders((gen0_every, NEVER, gen2_every)), lambda kind, event: None)
    try:
        yield
    finally:
        core.stop()


@contextmanager
def callback(entry: object) -> Iterator[None]:
    gc.callbacks.append(entry)  # type: ignore[arg-type]
    try:
        yield
    finally:
        gc.callbacks.remove(entry)  # type: ignore[arg-type]


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextmanager
def watching(memory: Memory, thresholds: list[Threshold]) -> Iterator[None]:
    memory.watch(thresholds)
    try:
        yield
    finally:
        memory.close()


def thresholds_of_share() -> list[Threshold]:
    """What a check reads for a share of the memory that this process may use: never passed."""
    return [
        Threshold("meminfo" if group.meminfo else "number", group.usage_path, group.limit_bytes)
        for group in MemoryGroups().groups
    ]


def twin_module(core: Any) -> ModuleType:
    """The functions of the twin in a module, as a process that chose it has them in `gcctl`."""
    module = ModuleType("twin")
    module.request, module.tick = core.request, core.tick  # type: ignore[attr-defined]
    return module


def cases() -> tuple[dict[str, Any], list[Case]]:
    """The global names of all statements, and the statements."""
    floors = compiled_floors.load()
    core, twin_memory = Twin(), TwinMemory()
    far_away = psutil.virtual_memory().total
    of_rss, of_share = [Threshold("rss", "", far_away)], thresholds_of_share()
    idle, due = (
        RequestGC((NEVER,) * 3, report_every=NEVER),
        RequestGC((1, NEVER, NEVER), 1e9, NEVER),
    )
    names = {
        "gc": gc,
        "gcctl": gcctl,
        "ctx": gcctl.request(),
        "twin": twin_module(core),
        "source": idle,
        "source_due": due,
        "floors": floors,
        "floor": floors.instance,
        "methods": floors.methods,
        "form": make_context(floors.methods.enter, floors.methods.exit),
        "psutil": psutil,
        "process": psutil.Process(),
        "memory": twins.memory,
        "twin_memory": twin_memory,
    }

    def twin_idle() -> AbstractContextManager[None]:
        return started(core)

    def twin_due() -> AbstractContextManager[None]:
        return started(core, gen0_every=1)

    def c_due() -> gcctl.Controller:
        return install(gen0_every=1)

    def counting() -> gcctl.Controller:
        return install(policy="auto")

    def monitored() -> gcctl.Controller:
        return install(gen0_every=1, gen1_every=None, gen2_every=None, check_interval=0.1)

    def not_monitored() -> gcctl.Controller:
        fields = {"monitoring": False, "memory_limit": None, "check_interval": 0.1}
        return install(gen0_every=1, gen1_every=None, gen2_every=None, **fields)

    def far_limit() -> gcctl.Controller:
        return install(memory_limit=far_away)

    def share_limit() -> gcctl.Controller:
        return install(memory_limit=SHARE)

    @contextmanager
    def automatic() -> Iterator[None]:
        """`gc.collect(0)` stands for a collection of automatic GC, which no stand-in sees."""
        with environment("GCCTL_WITHOUT", "stand-ins"), install():
            twins.core.explicit(False)
            yield

    def watched(memory: Memory, thresholds: list[Threshold]) -> Ready:
        return lambda: watching(memory, thresholds)

    def empty_callback() -> AbstractContextManager[None]:
        return callback(floors.on_gc)

    return names, [
        Case("idle", FLOOR, "with floor: pass"),
        Case("idle", FLOOR, "with floors.Context(): pass"),
        Case("idle", FLOOR, "with floors.context(): pass"),
        Case("idle", C, "with gcctl.request(): pass", install),
        Case("idle", C, "with ctx: pass", install),
        Case("idle", C, COUNTING, counting),
        Case("idle", TWIN, "with twin.request(): pass", twin_idle),
        Case("idle", SOURCE, "with source.request(): pass"),
        Case("idle", FORM, "with form: pass"),
        Case("tick", FLOOR, "floors.empty()"),
        Case("tick", FLOOR, "methods.empty()"),
        Case("tick", C, "gcctl.tick()", install),
        Case("tick", TWIN, "twin.tick()", twin_idle),
        Case("due", FLOOR, "methods.collect(0)"),
        Case("due", C, "with gcctl.request(): pass", c_due),
        Case("due", TWIN, "with twin.request(): pass", twin_due),
        Case("due", SOURCE, "with source_due.request(): pass"),
        Case("seen", CPYTHON, "gc.collect(0)"),
        Case("seen", FLOOR, "gc.collect(0)", empty_callback),
        Case("seen", C, "gc.collect(0)", automatic),
        Case("seen", TWIN, "gc.collect(0)", twin_idle),
        Case("monitoring", C, "with gcctl.request(): pass # monitored", monitored),
        Case("monitoring", C, "with gcctl.request(): pass # not monitored", not_monitored),
        Case("check", PSUTIL, "psutil.Process().memory_info().rss"),
        Case("check", PSUTIL, "process.memory_info().rss"),
        Case("check", PSUTIL, "psutil.virtual_memory().available"),
        Case("check", C, "gcctl.check_memory() # limit on RSS", far_limit),
        Case("check", C, f"gcctl.check_memory() # limit {SHARE}", share_limit),
        Case("check", C, "memory.rss()"),
        Case("check", TWIN, "twin_memory.rss()"),
        Case("check", C, "memory.over() # RSS", watched(twins.memory, of_rss)),
        Case("check", TWIN, "twin_memory.over() # RSS", watched(twin_memory, of_rss)),
        Case("check", C, f"memory.over() # {SHARE}", watched(twins.memory, of_share)),
        Case("check", TWIN, f"twin_memory.over() # {SHARE}", watched(twin_memory, of_share)),
    ]
