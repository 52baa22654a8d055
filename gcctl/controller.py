"""The lifecycle: install, follow forks, roll back. At most one controller is installed."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal

from gcctl import _impl, reporting
from gcctl._protocol import NEVER, REASONS, Event, Orders
from gcctl.collectors import COLLECTOR, schedule_for
from gcctl.config import Config, disabled
from gcctl.errors import GcctlError
from gcctl.monitor import Monitor, Stats, make_stats
from gcctl.pressure import rss_bytes
from gcctl.settings import Rollback

logger = logging.getLogger("gcctl")

FULL = 2
REQUESTED = REASONS.index("requested")

FORK_WAIT_SECONDS = 5.0
"""How long a fork waits for another thread's collection to end. Longer than any collection; not for
ever, because a finalizer in it may be waiting for the thread that forks."""


class Controller:
    """One installation of gcctl, as `install()` returns it; a context manager that uninstalls."""

    def __init__(self, config: Config, installed_at: str) -> None:
        self.config = config
        self.installed_at = installed_at
        """Where `install()` was called from, for the error that a second call gets."""
        self._core = _impl.core
        self._monitor = Monitor(config.max_pause_ns)
        self._rollback = Rollback()
        self._final: Stats | None = None

    @property
    def installed(self) -> bool:
        return _installed is self

    def stats(self) -> Stats:
        """The statistics now; once uninstalled, those of that moment."""
        if not self.installed:
            return self._final or Stats()
        return make_stats(
            self._core.snapshot(),
            policy=self.config.policy,
            implementation=self._core.implementation,
            rss_bytes=rss_bytes(),
            alerts=self._monitor.alerts,
        )

    def events(self) -> tuple[Event, ...]:
        """The last collections, oldest first; at most 256. Empty once uninstalled."""
        return self._core.events() if self.installed else ()

    def report(self) -> str:
        """The statistics for people, over several lines."""
        return reporting.full(self.stats())

    def uninstall(self) -> None:
        """As `gcctl.uninstall()`; does nothing when this controller is not the installed one."""
        with _lock:
            if self.installed:
                uninstall()

    def __enter__(self) -> Controller:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()

    def _start(self) -> None:
        config = self.config
        wanted = (config.gen0_every, config.gen1_every, config.gen2_every)
        every = (wanted[0] or NEVER, wanted[1] or NEVER, wanted[2] or NEVER)
        kept = schedule_for(every)
        if kept != every:
            logger.warning(
                "on a %s build every collection is full: young ones are left out", COLLECTOR
            )
        self._rollback.apply(enabled=config.automatic_gc, thresholds=config.thresholds)
        emergency = config.emergency_interval_ns
        orders = Orders(
            every=kept,
            report_every=config.report_every or NEVER,
            emergency_interval_ns=-1 if emergency is None else emergency,
            max_pause_ns=config.max_pause_ns,
            external=config.monitoring,
        )
        self._core.start(orders, self._notify)

    def _stop(self) -> None:
        """Everything back as it was. May be called again after an interruption."""
        try:
            if self.config.final_collection:
                self._core.collect(FULL, REQUESTED)
            elif self._rollback.switches_on:
                # Else the first allocations after enabling would collect all that was allocated.
                self._core.collect(0, REQUESTED)
            self._final = self.stats()
            logger.info("uninstalling: %s", reporting.line(self._final))
        finally:
            if not self._core.stop():
                logger.warning("somebody had removed gcctl's entry from gc.callbacks")
            for drift in self._rollback.undo():
                logger.warning("gc settings left as they are: %s", drift)

    def _notify(self, kind: Literal["report", "long_pause"], event: Event | None) -> None:
        if event is None:
            logger.info("%s", reporting.line(self.stats()))
        elif self.config.monitoring:
            self._monitor.long_pause(event)

    def _after_fork(self) -> None:
        self._core.after_fork()
        self._monitor.clear()


# One per process, because the interpreter has one collector and one set of settings. Written only
# with _lock held; read without it, as one reference. Re-entrant: a signal handler or a finalizer
# may uninstall in the middle of install().
_installed: Controller | None = None
_lock = threading.RLock()
_hooked = False


def install(
    policy: str | None = None,
    *,
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    **overrides: Any,
) -> Controller:
    """Take over this process's garbage collection.

    `policy` is the name of a preset (None: the config's, else "production"); `config` a Config, a
    mapping or the path of a TOML file; `overrides` are fields of Config. Arguments beat environment
    variables, which beat the file, which beats the preset.

    Raises ConfigError for a value that is not accepted and GcctlError when gcctl is installed
    already; the interpreter is then as it was. With `GCCTL_DISABLE=1` it does nothing but log that,
    and returns a controller that is not installed.
    """
    global _installed
    if disabled():
        logger.warning("disabled by GCCTL_DISABLE: nothing is installed")
        return Controller(Config(policy="off"), "nowhere")
    resolved = Config.resolve(policy, config, overrides)
    with _lock:
        if _installed is not None:
            raise GcctlError(
                f"gcctl is already installed: policy {_installed.config.policy!r}, at "
                f"{_installed.installed_at}; call gcctl.uninstall() first"
            )
        _hook_into_process()
        controller = Controller(resolved, _caller())
        _installed = controller  # first of all, so that whatever interrupts what follows is undone
        try:
            controller._start()
            core = f"{_impl.core.implementation} core ({_impl.reason})"
            logger.info("installed: policy %s, %s", resolved.policy, core)
        except BaseException:
            uninstall()
            raise
        if not controller.installed:
            controller._stop()
            raise GcctlError("gcctl was uninstalled while it was being installed")
        return controller


def uninstall() -> None:
    """Put the interpreter's GC settings back as `install()` found them, and verify it.

    A setting that somebody else has changed since is left as it is and logged. Does nothing when
    nothing is installed. Raises GcctlError when a setting cannot be restored.
    """
    global _installed
    with _lock:
        if _installed is None:
            return
        controller = _installed
        try:
            controller._stop()
        except GcctlError:
            _installed = None
            raise
        except BaseException:  # a signal that raises, say: the interrupted half is done again
            controller._stop()
            _installed = None
            raise
        _installed = None


def stats() -> Stats:
    """The statistics of the installed controller; all zero when there is none."""
    controller = _installed
    return controller.stats() if controller is not None else Stats()


def report() -> str:
    """The statistics for people, over several lines."""
    return reporting.full(stats())


def _caller() -> str:
    """File and line that called install(), as a traceback would name them."""
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _hook_into_process() -> None:
    """At exit and at fork; once, for such hooks cannot be taken back, and look for themselves."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    atexit.register(uninstall)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def _before_fork() -> None:
    """Wait until no other thread is collecting: the child's collector would never work again."""
    deadline = time.monotonic() + FORK_WAIT_SECONDS
    while _impl.core.busy_elsewhere():
        if time.monotonic() > deadline:
            logger.warning(
                "forking while another thread collects: no collection will run in the child"
            )
            return
        # Does nothing during a collection. Should the end of one have been hidden from us, this one
        # runs, and tells.
        gc.collect(0)
        time.sleep(0.0005)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()  # its holder may be a thread that is not in the child
    if _installed is not None:
        _installed._after_fork()
    else:
        _impl.core.after_fork()
