"""install() and uninstall(): at most one controller in a process, through forks and to its end."""

from __future__ import annotations

import _thread
import atexit
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from gcctl._base import log
from gcctl._base.errors import GcctlError
from gcctl._config.config import Config, disabled
from gcctl._interpreter.forks import ForkGuard
from gcctl._interpreter.preload import preload
from gcctl._interpreter.settings import NotRestoredError
from gcctl._lifecycle.batch import batches
from gcctl._lifecycle.controller import Controller
from gcctl._monitor.statistics import Stats
from gcctl._process import twins

EXIT_WAIT_SECONDS = 5.0
"""How long the exit of the process waits for another thread's install() or uninstall()."""


# One per process, because the interpreter has one collector and one set of settings. Written only
# with _lock held; _installed is read without it, as one reference.
_installed: Controller | None = None
_lock = _thread.RLock()
# The thread that is inside install() or uninstall(), or 0. Only code that the interpreter calls in
# the middle of these, a signal handler or a finalizer, gets past the lock and finds it set.
_changing = 0
_cancelled = False  # uninstall() was called in the middle of install()
_hooked = False
# In a master too that installs nothing itself, but has prepared its heap for those it forks.
_fork_guard = ForkGuard(twins.core, lambda: _installed is not None or preload.shared)


def install(
    policy: str | None = None,
    *,
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    **overrides: Any,
) -> Controller:
    """Take over this process's garbage collection.

    `policy` is the name of a preset (None: the config's, else "auto"); `config` a Config, a
    mapping or the path of a TOML file; `overrides` are fields of Config. Arguments beat environment
    variables, which beat the file, which beats the preset.

    Raises ConfigError for a value that is not accepted and GcctlError when gcctl is installed
    already; the interpreter is then as it was. With `GCCTL_DISABLE=1` it does nothing but log that,
    and returns a controller that is not installed.
    """
    if disabled():
        log.warning("disabled by GCCTL_DISABLE: nothing is installed")
        return Controller(Config(policy="off"), "nowhere", _uninstall_if_installed)
    return install_config(Config.resolve(policy, config, overrides), _caller())


def install_config(config: Config, installed_at: str) -> Controller:
    """As `install()`, of a configuration that is not to be resolved any further."""
    global _installed, _changing, _cancelled
    me = _thread.get_ident()
    with _lock:
        if _changing:  # with the next line one step, between which no signal is looked for
            raise GcctlError(
                "install() in the middle of install() or uninstall(): "
                "a signal handler or a finalizer cannot change the controller at this moment"
            )
        _changing = me
        _cancelled = False
        try:
            _demand_gil()
            if _installed is not None:
                raise GcctlError(
                    f"gcctl is already installed: policy {_installed.config.policy!r}, at "
                    f"{_installed.installed_at}; call gcctl.uninstall() first"
                )
            controller = Controller(config, installed_at, _uninstall_if_installed)
            _installed = controller  # before anything is changed, so that it is undone
            controller.installed = True
            _start(controller)
        finally:
            _changing = 0
    with suppress(Exception):  # a broken logging setup must not look like a failure
        core = f"{twins.core.implementation} core ({twins.reason})"
        log.info("installed: policy %s, %s", config.policy, core)
    return controller


def _demand_gil() -> None:
    # Both cores count on it. A free-threaded build switches it back on when it imports the compiled
    # one, unless it was told not to.
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise GcctlError("gcctl needs the GIL, which is off in this process: set PYTHON_GIL=1")


def share_with_children() -> bool:
    """In a pre-fork master, before a fork: what it has loaded is collected and frozen, so that the
    collections of its children do not write to it; from then on automatic GC is off here, not
    there. False where gcctl is installed here, which has its own way with the heap."""
    if _installed is not None:
        return False
    _hook_into_process()
    preload.share()
    return True


def _start(controller: Controller) -> None:
    """Start it, or put everything back."""
    try:
        _hook_into_process()
        controller._start()
        if _cancelled:
            raise GcctlError("gcctl was uninstalled while it was being installed")
    except BaseException:
        _put_back(controller)
        raise


def uninstall() -> None:
    """Put the interpreter's GC settings back as `install()` found them, and verify it.

    A setting that somebody else has changed since is left as it is and logged. Does nothing when
    nothing is installed. Raises GcctlError when a setting cannot be restored.
    """
    global _changing, _cancelled
    me = _thread.get_ident()
    with _lock:
        if _changing:  # with the assignment below one step
            _cancelled = True  # install() gives up; uninstall() is at it anyway
            return
        _changing = me
        try:
            controller = _installed
            if controller is None:
                batches.repair()
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
    try:
        controller._restore()
    except NotRestoredError:  # tried in full
        _forget(controller)
        raise
    except BaseException:
        controller._restore()
        _forget(controller)
        raise
    _forget(controller)


def _forget(controller: Controller) -> None:
    global _installed
    _installed = None
    controller.installed = False


def _uninstall_if_installed(controller: Controller) -> None:
    with _lock:
        if controller.installed:
            uninstall()


def installed() -> Controller | None:
    """The controller that is installed in this process."""
    return _installed


def stats() -> Stats:
    """The statistics of the installed controller; all zero when there is none."""
    controller = _installed
    return controller.stats() if controller is not None else Stats()


def report(format: Literal["text", "json"] = "text") -> str:
    """The statistics for people, over several lines; or as "json", everything there is to know:
    statistics, configuration, the last collections. Raises ValueError for another format."""
    controller = _installed
    if controller is not None:
        return controller.report(format)
    from gcctl._monitor.report import render  # as Controller.report()

    return render(format, Stats(), None, ())


def check_memory() -> bool:
    """Compare memory with `memory_limit` now, and collect if it is over; True in high-memory mode.

    For work without request boundaries, after each chunk of it. Where nothing is to be done it
    takes about a microsecond, with a share of the machine's memory five. False when nothing is
    installed, or no limit.
    """
    controller = _installed
    return controller is not None and controller.check_memory()


def should_recycle() -> bool:
    """Whether this worker should be replaced by a fresh one after the request in hand; why, is in
    `stats().recycle_advice`. False when nothing is installed."""
    controller = _installed
    return controller is not None and controller.recycle_advice is not None


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
            before=_before_fork,
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


def _before_fork() -> None:
    controller = _installed
    if controller is not None:
        controller._before_fork()
    _fork_guard.before()


def _after_fork_in_child() -> None:
    global _lock, _changing
    if _changing != _thread.get_ident():  # a thread that is not in the child
        _lock = _thread.RLock()
        _changing = 0
    _fork_guard.after_in_child()
    if _installed is not None:
        _installed._after_fork()
