"""A controller for CPython's cyclic garbage collector.

import gcctl

gcctl.install()              # in each worker
with gcctl.request():        # around each request
    ...
gcctl.uninstall()            # original settings restored, and verified
"""

from gcctl._protocol import ByReason, Event
from gcctl.boundary import request, run_request, tick
from gcctl.config import Config
from gcctl.controller import Controller, install, report, stats, uninstall
from gcctl.errors import ConfigError, GcctlError
from gcctl.monitor import Alert, Stats

__all__ = [
    "Alert",
    "ByReason",
    "Config",
    "ConfigError",
    "Controller",
    "Event",
    "GcctlError",
    "Stats",
    "install",
    "report",
    "request",
    "run_request",
    "stats",
    "tick",
    "uninstall",
]
