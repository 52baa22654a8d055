"""What one installation is made of: core, memory, statistics, alerts, and parts of the policy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gcctl._auto.checks import IdleWork
from gcctl._auto.in_process import AutoInProcess
from gcctl._base.log import log_fault
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import InTurn
from gcctl._config.config import Config
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS, Event
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.explicit_calls import ExplicitCalls
from gcctl._interpreter.settings import Watch
from gcctl._interpreter.stand_ins import StandIns
from gcctl._interpreter.tenure import OwnObjects
from gcctl._memory.protocol import Memory
from gcctl._memory.recycling import Recycling
from gcctl._memory.resident import rss_bytes
from gcctl._monitor.alerts import AlertKind
from gcctl._monitor.no_requests import NoRequests
from gcctl._monitor.statistics import Monitor, Stats

if TYPE_CHECKING:
    from gcctl._memory.pressure import Pressure


EXPLICIT = REASONS.index("explicit")


class Parts:
    """The parts, for those that work with them. Those that may be None depend on the configuration,
    and are there from the start of the installation to its end."""

    def __init__(self, config: Config, core: Core, memory: Memory) -> None:
        self.left_alone = _why_left_alone(config)
        """Why gcctl only measures, although the configuration asks for more; "": it does not."""
        self.config = config = config.only_measuring() if self.left_alone else config
        self.core = core
        self.memory = memory
        self.monitor = Monitor(core.now())
        self.no_requests = NoRequests(config.policy, core.boundaries, core.now)
        self.recycling = Recycling(
            config.recycle_after_requests, config.recycle_above, config.recycle_jitter
        )
        self.explicit = ExplicitCalls(
            core.now,
            collect_concurrently=(
                self._collect_concurrently if config.explicit_collect == "concurrent" else None
            ),
            interval_ns=config.explicit_interval_ns,
            fault=self.fault,
        )
        self.stand_ins = StandIns(core, self.explicit)
        self.own_objects = OwnObjects()
        self.pressure: Pressure | None = None
        """With a `memory_limit`."""
        self.watch: Watch | None = None
        """Finds out what others have changed about the collector."""
        self.auto: AutoInProcess | None = None
        """Under the policy `auto`."""
        self.idle_work: IdleWork | None = None
        """Under a fixed schedule, which else does nothing while no boundary comes."""
        self.fulls: InTurn | None = None
        """Full collections of a fixed schedule."""
        self.faults = 0
        """Errors inside gcctl, but for those that the core has counted itself."""
        self.final: Stats | None = None
        """The last statistics, once uninstalled."""
        self.final_events: tuple[Event, ...] = ()

    def rss(self) -> int:
        """Resident set size of this process, in bytes."""
        return rss_bytes(self.memory)

    def _collect_concurrently(self) -> int:
        """In place of an explicit full collection. Returns the objects found, where the world had
        to be stopped."""
        return coordinator.start(EXPLICIT).measured.objects_collected

    def fault(self) -> None:
        """Count the exception being handled, and log it if it is the first."""
        self.faults += 1
        if self.faults == 1:
            log_fault()

    def alert(self, kind: AlertKind, time_ns: int, message: str) -> None:
        if self.config.monitoring:
            self.monitor.alerts.add(kind, time_ns, message)


def _why_left_alone(config: Config) -> str:
    if COLLECTOR != "unknown" or config == config.only_measuring():
        return ""
    return (
        f"the garbage collector of this interpreter (CPython {sys.version.split()[0]}) is not "
        f"known to gcctl: it measures and changes nothing, whatever policy {config.policy!r} says"
    )
