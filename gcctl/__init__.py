"""A controller for CPython's cyclic garbage collector.

import gcctl

gcctl.install()              # in each worker
with gcctl.request():        # around each request
    ...
gcctl.uninstall()            # original settings restored, and verified

PYTEST_DONT_REWRITE
"""

# A distribution with a plugin for pytest has its packages rewritten, and pytest warns where one was
# imported before it came, as by `gcctl run -m pytest`. So the word in the docstring.

# What requests call is imported at once, and the rest when one of its names is first used: whoever
# does not install gcctl does not wait for it. A test compares the lists of names below.

from gcctl._process.own_objects import own_objects

with own_objects:
    from typing import TYPE_CHECKING

    from gcctl._base.late import importing
    from gcctl._process.boundary import request, run_request, tick

if TYPE_CHECKING:
    from gcctl._auto.stats import AutoStats, Decision
    from gcctl._base.errors import ConfigError, GcctlError
    from gcctl._concurrent.collection import ConcurrentCollection, ConcurrentRun
    from gcctl._concurrent.coordinator import ConcurrentStats, collect_concurrently, cycle_profile
    from gcctl._concurrent.cycle_profile import CyclePath, CycleProfile, CycleType
    from gcctl._config.config import Config
    from gcctl._core.records import ByReason, Event
    from gcctl._interpreter.explicit_calls import ExplicitCaller
    from gcctl._lifecycle.batch import batch, batched_gc
    from gcctl._lifecycle.controller import Controller
    from gcctl._lifecycle.hold import hold
    from gcctl._lifecycle.install import (
        check_memory,
        install,
        report,
        share_with_children,
        should_recycle,
        stats,
        uninstall,
    )
    from gcctl._memory.memory_event import MemoryEvent
    from gcctl._memory.recycling import RecycleAdvice
    from gcctl._monitor.alerts import Alert, AlertCounts
    from gcctl._monitor.statistics import CollectionStats, MemorySample, MinuteStats, Stats

__all__ = [
    "Alert",
    "AlertCounts",
    "AutoStats",
    "ByReason",
    "CollectionStats",
    "ConcurrentCollection",
    "ConcurrentRun",
    "ConcurrentStats",
    "Config",
    "ConfigError",
    "Controller",
    "CyclePath",
    "CycleProfile",
    "CycleType",
    "Decision",
    "Event",
    "ExplicitCaller",
    "GcctlError",
    "MemoryEvent",
    "MemorySample",
    "MinuteStats",
    "RecycleAdvice",
    "Stats",
    "batch",
    "batched_gc",
    "check_memory",
    "collect_concurrently",
    "cycle_profile",
    "hold",
    "install",
    "report",
    "request",
    "run_request",
    "share_with_children",
    "should_recycle",
    "stats",
    "tick",
    "uninstall",
]

_MODULES = {
    "_auto.stats": ("AutoStats", "Decision"),
    "_base.errors": ("ConfigError", "GcctlError"),
    "_concurrent.collection": ("ConcurrentCollection", "ConcurrentRun"),
    "_concurrent.coordinator": ("ConcurrentStats", "collect_concurrently", "cycle_profile"),
    "_concurrent.cycle_profile": ("CyclePath", "CycleProfile", "CycleType"),
    "_config.config": ("Config",),
    "_core.records": ("ByReason", "Event"),
    "_interpreter.explicit_calls": ("ExplicitCaller",),
    "_lifecycle.batch": ("batch", "batched_gc"),
    "_lifecycle.controller": ("Controller",),
    "_lifecycle.hold": ("hold",),
    "_lifecycle.install": (
        *("check_memory", "install", "report", "share_with_children", "should_recycle"),
        *("stats", "uninstall"),
    ),
    "_memory.memory_event": ("MemoryEvent",),
    "_memory.recycling": ("RecycleAdvice",),
    "_monitor.alerts": ("Alert", "AlertCounts"),
    "_monitor.statistics": ("CollectionStats", "MemorySample", "MinuteStats", "Stats"),
}


if not TYPE_CHECKING:  # else type checkers would accept any name

    def __getattr__(name):
        wanted = [module for module, names in _MODULES.items() if name in names]
        if not wanted:
            raise AttributeError(f"module 'gcctl' has no attribute {name!r}")
        from importlib import import_module

        complete = True
        with importing, own_objects:
            for module in (*wanted, *_MODULES):
                try:
                    found = import_module(f"gcctl.{module}")
                except ImportError:  # the process may have lost its files by now
                    if module in wanted:
                        raise
                    complete = False
                    continue
                for public in _MODULES[module]:
                    globals().setdefault(public, getattr(found, public))
        # CPython does not specialise access to the attributes of a module with a `__getattr__`:
        # with it, `gcctl.request` would take 25 ns more, at each request.
        if complete:
            globals().pop("__getattr__", None)
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
