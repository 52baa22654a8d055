"""What users call once gcctl is installed: the controller that `install()` returns."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Literal, TypeVar

from gcctl._base.log import is_of_a_signal
from gcctl._base.public import public
from gcctl._concurrent.coordinator import coordinator
from gcctl._core.records import Event
from gcctl._lifecycle.parts import Parts
from gcctl._lifecycle.sampling import Sampler
from gcctl._memory.recycling import RecycleAdvice
from gcctl._monitor.alerts import Alert
from gcctl._monitor.statistics import Stats, core_counters

OnAlert = TypeVar("OnAlert", bound=Callable[[Alert], object])
OnRecycle = TypeVar("OnRecycle", bound=Callable[[RecycleAdvice], object])


@public
class Controller:
    """One installation of gcctl, as `install()` returns it; a context manager that uninstalls."""

    def __init__(
        self,
        parts: Parts,
        sampler: Sampler,
        installed_at: str,
        uninstall: Callable[[Controller], None],
    ) -> None:
        self.config = parts.config
        self.installed_at = installed_at
        """Where `install()` was called from, for the error that a second call gets."""
        self.installed = False
        """Set by the functions that install and uninstall."""
        self._parts = parts
        self._sampler = sampler
        self._uninstall = uninstall

    def stats(self) -> Stats:
        """The statistics now; once uninstalled, those of that moment."""
        parts = self._parts
        parts.core.notice_fork()
        if parts.final is not None or not self.installed:
            return parts.final or Stats()
        rss = parts.rss()
        try:
            self._sampler.sample(rss)
        except Exception:
            parts.fault()
        # Taken once: another thread may be uninstalling.
        auto, pressure, now = parts.auto, parts.pressure, parts.core.now()
        counters = core_counters(parts.core.snapshot())
        return Stats(
            **counters | {"faults": counters["faults"] + parts.faults},
            **parts.monitor.counters(now, pressure.used() if pressure else None),
            policy=self.config.policy,
            left_alone=parts.left_alone,
            implementation=parts.core.implementation,
            explicit_callers=parts.explicit.busiest(),
            concurrent=coordinator.stats,
            auto=auto.stats if auto else None,
            rss_bytes=rss,
            high_memory=pressure.high if pressure else False,
            high_memory_events=pressure.entries if pressure else 0,
            memory_stalled_share=pressure.stalled if pressure else 0.0,
            recycle_advice=parts.recycling.advice,
        )

    def events(self) -> tuple[Event, ...]:
        """The last collections, oldest first; at most 256. Once uninstalled, those of then."""
        self._parts.core.notice_fork()
        return self._parts.core.events() if self.installed else self._parts.final_events

    def report(self, format: Literal["text", "json"] = "text") -> str:
        """As `gcctl.report()`, of this controller."""
        # Not imported at the top: few programs ask for a report, and its modules take their time.
        from gcctl._monitor.report import render

        return render(format, self.stats(), self.config, self.events())

    def check_memory(self) -> bool:
        """As `gcctl.check_memory()`; False when this controller is not the installed one."""
        pressure = self._parts.pressure
        if pressure is None or not self.installed:
            return False
        self._parts.core.notice_fork()
        try:
            return pressure.check()
        except Exception as error:
            if is_of_a_signal(error):
                raise
            self._parts.fault()
            return pressure.high

    @property
    def recycle_advice(self) -> RecycleAdvice | None:
        """Why this worker should be replaced after the request in hand; None: it should not."""
        self._parts.core.notice_fork()
        return self._parts.recycling.advice

    def on_alert(self, callback: OnAlert) -> OnAlert:
        """Have `callback(alert)` called with each `Alert`. Usable as a decorator.

        It is called in a thread of its own and can neither break nor slow a request: what it raises
        is logged, and while it blocks, the oldest of more than 64 alerts that wait are dropped.
        """
        self._parts.monitor.alerts.add_callback(callback)
        return callback

    def on_recycle(self, callback: OnRecycle) -> OnRecycle:
        """Have `callback(advice)` called with the `RecycleAdvice`, once, in a thread of its own."""
        self._parts.recycling.add_callback(callback)
        return callback

    def uninstall(self) -> None:
        """As `gcctl.uninstall()`; does nothing when this controller is not the installed one."""
        self._uninstall(self)

    def __enter__(self) -> Controller:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()
