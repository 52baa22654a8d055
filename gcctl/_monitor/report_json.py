"""The report for programs: everything that gcctl knows, as one JSON object."""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from gcctl._concurrent.coordinator import coordinator
from gcctl._config.config import Config
from gcctl._core import histogram
from gcctl._core.records import Event
from gcctl._interpreter import mechanisms
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.settings import Settings
from gcctl._monitor.statistics import CollectionStats, Stats
from gcctl._process.twins import core

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


def render(stats: Stats, config: Config | None, events: tuple[Event, ...]) -> str:
    """In one line, all ASCII; docs/command-line.md describes it."""
    report = {
        "environment": _environment(),
        "config": config if stats.policy is not None else None,
        "gc_settings": Settings.current(),
        "stats": stats,
        "events": events,
    }
    return json.dumps(plain(report), allow_nan=False)


def plain(value: Any) -> Any:
    """`value` in types that JSON has. Fields become items of an object; NaN and infinity null.

    It goes through all fields, so that a new one cannot be forgotten.
    """
    derived = _derived(value) if isinstance(value, CollectionStats) else {}
    if hasattr(value, "_asdict"):  # a record, or a NamedTuple
        value = value._asdict() | derived
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, frozenset):
        value = sorted(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _derived(stats: CollectionStats) -> dict[str, Any]:
    """The properties, the percentiles, and the histogram with bounds instead of bucket numbers."""
    kind = type(stats)
    properties = [name for name in dir(kind) if isinstance(getattr(kind, name), property)]
    bounds = ((*histogram.bounds(bucket), count) for bucket, count in stats.pause_histogram)
    return {
        **{name: plain(getattr(stats, name)) for name in properties},
        "pause_percentiles_ns": {
            name: stats.pause_percentile_ns(q) for name, q in PERCENTILES.items()
        },
        "pause_histogram": [
            {"from_ns": low, "to_ns": high, "count": count} for low, high, count in bounds
        ],
    }


def _environment() -> dict[str, object]:
    system = platform.uname()  # platform.platform() would start a process to find out more
    return {
        "gcctl": _version(),
        "implementation": core.implementation,
        "python": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "collector": COLLECTOR,
        "mechanisms": {
            name: why or None for name, why in mechanisms.overview(coordinator.missing).items()
        },
        "platform": f"{system.system}-{system.release}-{system.machine}",
        "pid": os.getpid(),
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        "time_ns": core.now(),
    }


SITE_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The directory that gcctl is in."""


@functools.cache
def _version() -> str | None:
    """The version of gcctl, by the name of the metadata beside the package; None without that.

    importlib.metadata could do harm at the end of a program. It imports some two dozen modules
    (csv, calendar, email). Where the program has modules of the same names, those would be run.
    """
    with suppress(OSError):
        for name in os.listdir(SITE_PACKAGES):
            if found := re.fullmatch(r"gcctl-(.+)\.dist-info", name):
                return found[1]
    return None
