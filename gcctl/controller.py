"""The lifecycle: install, follow forks, roll back. At most one controller is installed."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal

from gcctl import _impl, reporting
from gcctl._protocol import NEVER, REASONS, Event, Orders
from gcctl.collectors import COLLECTOR, schedule_for
from gcctl.config import Config, disabled
from gcctl.errors import GcctlError
from gcctl.fork import ForkGuard
from gcctl.monitor import Monitor, Stats, make_stats
from gcctl.pressure import rss_bytes
from gcctl.settings import NotRestoredError, Rollback

logger = logging.getLogger("gcctl")

FULL = 2
REQUESTED = REASONS.index("requested")


EXIT_WAIT_SECONDS = 5.0
"""How long the exit of the process waits for another thread's install() or uninstall()."""


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
        self._notes: list[str] = []
        self._cancelled = False

    @property
    def installed(self) -> bool:
        return _installed is self

    def stats(self) -> Stats:
        """The statistics now; once uninstalled, those of that moment."""
        if self._final is not None or not self.installed:
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
        every = (
            config.gen0_every or NEVER,
            config.gen1_every or NEVER,
            config.gen2_every or NEVER,
        )
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

    def _finish(self) -> None:
        """The last collection and the last statistics."""
        collected = 0
        if self.config.final_collection:
            collected = self._core.collect(FULL, REQUESTED)
        elif self._rollback.switches_on:
            # Else the first allocations after enabling would collect all that came meanwhile.
            collected = self._core.collect(0, REQUESTED)
        if collected < 0:
            self._notes.append("the last collection was left out: one was running")
        self._final = self.stats()

    def _restore(self) -> None:
        """Everything back as it was. To be called again where it was interrupted."""
        if not self._core.stop():
            self._notes.append("somebody had removed gcctl's entry from gc.callbacks")
        for drift in self._rollback.undo():
            self._notes.append(f"gc settings left as they are: {drift}")

    def _log_end(self) -> None:
        for found in self._notes:
            logger.warning("%s", found)
        if self._final is not None:
            logger.info("uninstalled: %s", reporting.line(self._final))

    def _notify(self, kind: Literal["report", "long_pause"], event: Event | None) -> None:
        if event is None:
            logger.info("%s", reporting.line(self.stats()))
        elif self.config.monitoring:
            self._monitor.long_pause(event)

    def _after_fork(self) -> None:
        self._monitor.clear()


# One per process, because the interpreter has one collector and one set of settings. Written only
# with _lock held; _installed is read without it, as one reference.
_installed: Controller | None = None
_lock = threading.RLock()
# The thread that is inside install() or uninstall(), or 0. Only code that the interpreter calls in
# the middle of these, a signal handler or a finalizer, gets past the lock and finds it set.
_changing = 0
_hooked = False
_fork_guard = ForkGuard(_impl.core, lambda: _installed is not None)


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
    if disabled():
        logger.warning("disabled by GCCTL_DISABLE: nothing is installed")
        return Controller(Config(policy="off"), "nowhere")
    return install_config(Config.resolve(policy, config, overrides), _caller())


def install_config(config: Config, installed_at: str) -> Controller:
    """As `install()`, of a configuration that is not to be resolved any further."""
    global _installed, _changing
    me = threading.get_ident()
    with _lock:
        if _changing:  # with the next line one step, between which no signal is looked for
            raise GcctlError(
                "install() in the middle of install() or uninstall(): "
                "a signal handler or a finalizer cannot change the controller at this moment"
            )
        _changing = me
        try:
            _demand_gil()
            if _installed is not None:
                raise GcctlError(
                    f"gcctl is already installed: policy {_installed.config.policy!r}, at "
                    f"{_installed.installed_at}; call gcctl.uninstall() first"
                )
            controller = Controller(config, installed_at)
            _installed = controller  # before anything is changed, so that it is undone
            _start(controller)
        finally:
            _changing = 0
    core = f"{_impl.core.implementation} core ({_impl.reason})"
    logger.info("installed: policy %s, %s", config.policy, core)
    return controller


def _demand_gil() -> None:
    # Both cores count on it. A free-threaded build switches it back on when it imports the compiled
    # one, unless it was told not to.
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise GcctlError("gcctl needs the GIL, which is off in this process: set PYTHON_GIL=1")


def _start(controller: Controller) -> None:
    """Start it, or put everything back."""
    try:
        _hook_into_process()
        controller._start()
        if controller._cancelled:
            raise GcctlError("gcctl was uninstalled while it was being installed")
    except BaseException:
        _put_back(controller)
        raise


def uninstall() -> None:
    """Put the interpreter's GC settings back as `install()` found them, and verify it.

    A setting that somebody else has changed since is left as it is and logged. Does nothing when
    nothing is installed. Raises GcctlError when a setting cannot be restored.
    """
    global _changing
    me = threading.get_ident()
    with _lock:
        if _changing:  # with the assignment below one step
            if _installed is not None:
                _installed._cancelled = True  # install() gives up; uninstall() is at it anyway
            return
        _changing = me
        try:
            controller = _installed
            if controller is None:
                return
            try:
                controller._finish()
            finally:
                _put_back(controller)
        finally:
            _changing = 0
    with suppress(Exception):  # all is done: a broken logging setup must not look like a failure
        controller._log_end()


def _put_back(controller: Controller) -> None:
    """Restore the settings; again from the start where a signal that raises gets in between.

    Should that be interrupted too, the controller stays installed, and the exit of the process or
    another call completes it.
    """
    global _installed
    try:
        controller._restore()
    except NotRestoredError:  # tried in full
        _installed = None
        raise
    except BaseException:
        controller._restore()
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
    frame = sys._getframe(1).f_back
    if frame is None:  # a thread, or a host program, that calls install() itself
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _hook_into_process() -> None:
    """At exit and at fork; once, for such hooks cannot be taken back, and look for themselves."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_fork_guard.before,
            after_in_parent=_fork_guard.after_in_parent,
            after_in_child=_after_fork_in_child,
        )


def _at_exit() -> None:
    # A daemon thread may sit in uninstall() for ever, in a finalizer that waits for something.
    if _lock.acquire(timeout=EXIT_WAIT_SECONDS):
        try:
            uninstall()
        finally:
            _lock.release()


def _after_fork_in_child() -> None:
    global _lock, _changing
    if _changing != threading.get_ident():  # a thread that is not in the child
        _lock = threading.RLock()
        _changing = 0
    _fork_guard.after_in_child()
    if _installed is not None:
        _installed._after_fork()
