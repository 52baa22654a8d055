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

from gcctl._protocol import ByReason, Event
from gcctl.alerts import Alert, AlertCounts
from gcctl.auto import AutoStats, Decision
from gcctl.batches import batch, batched_gc
from gcctl.boundary import request, run_request, tick
from gcctl.concurrent import ConcurrentStats, collect_concurrently, cycle_profile
from gcctl.concurrent_run import ConcurrentCollection, ConcurrentRun
from gcctl.config import Config
from gcctl.controller import Controller
from gcctl.cycles import CyclePath, CycleProfile, CycleType
from gcctl.errors import ConfigError, GcctlError
from gcctl.holding import hold
from gcctl.lifecycle import check_memory, install, report, should_recycle, stats, uninstall
from gcctl.monitor import CollectionStats, MemorySample, MinuteStats, Stats
from gcctl.pressure import MemoryEvent
from gcctl.recycling import RecycleAdvice

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
    "should_recycle",
    "stats",
    "tick",
    "uninstall",
]
