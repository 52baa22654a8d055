"""install() and uninstall(): one installation per process at most, through forks and to its end."""

from __future__ import annotations

import _thread
import atexit
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from gcctl._base import log
from gcctl._base.errors import GcctlError
from gcctl._base.late import before_a_thread
from gcctl._concurrent.coordinator import import_the_rest
from gcctl._config.config import Config, disabled
from gcctl._interpreter.forks import ForkGuard
from gcctl._interpreter.preload import preload
from gcctl._interpreter.settings import NotRestoredError
from gcctl._lifecycle import hold
from gcctl._lifecycle.at_exit import at_exit
from gcctl._lifecycle.batch import batches
from gcctl._lifecycle.controller import Controller
from gcctl._lifecycle.installation import Installation
from gcctl._memory.recycling import RecycleAdvice
from gcctl._monitor.statistics import Stats
from gcctl._process import boundary, twins
from gcctl._process.forked import in_child
from gcctl._process.main_interpreter import IS_MAIN, REMEDY

LOADED = (boundary, hold)
"""What requests call is imported by now: later, a process may have lost its files."""

EXIT_WAIT_SECONDS = 5.0
"""How long the exit of the process waits for another thread's install() or uninstall()."""


# One per process, because the interpreter has one collector and one set of settings. Written only
# with _lock held. Read without it, as one reference.
_installation: Installation | None = None
_lock = _thread.RLock()
# The thread that is inside install() or uninstall(), or 0. A signal handler or a finalizer of the
# same thread, called in the middle of these, gets past the lock and finds it set. Nobody else does.
_changing = 0
_cancelled = False  # uninstall() was called in the middle of install()
_hooked = False
_said_remedy = False
# Also for a master that installs nothing itself, but has prepared its heap for its children.
_fork_guard = ForkGuard(twins.core, lambda: _installation is not None or preload.shared)


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
    already; the interpreter is then as it was. With `GCCTL_DISABLE=1` it only logs that it is
    disabled, and returns a controller that is not installed. So it does in an interpreter that is
    not the main one of the process.
    """
    if disabled():
        return _not_installed()
    return install_config(Config.resolve(policy, config, overrides), _caller())


def install_config(config: Config, installed_at: str) -> Controller:
    """As `install()`, with a configuration that is complete already."""
    global _installation, _changing, _cancelled
    if not IS_MAIN:
        return _not_installed()
    twins.core.notice_fork()
    me = _thread.get_ident()
    with _lock:
        if _changing:  # one step with the assignment: no signal handler runs in between
            raise GcctlError(
                "install() in the middle of install() or uninstall(): "
                "a signal handler or a finalizer cannot change the controller at this moment"
            )
        _changing = me
        _cancelled = False
        try:
            _demand_gil()
            if _installation is not None:
                first = _installation.controller
                raise GcctlError(
                    f"gcctl is already installed: policy {first.config.policy!r}, at "
                    f"{first.installed_at}; call gcctl.uninstall() first"
                )
            installation = _installation_of(config, installed_at)
            _installation = installation  # before anything is changed, so that it is undone
            installation.controller.installed = True
            _start(installation)
            at_exit.manner = installation.controller.config.at_exit
        finally:
            _changing = 0
    with suppress(Exception):  # a broken logging setup must not look like a failure
        log.info("installed: %s", installation.in_words())
    return installation.controller


def _installation_of(config: Config, installed_at: str) -> Installation:
    return Installation(config, installed_at, _uninstall_if_installed)


def _not_installed() -> Controller:
    global _said_remedy
    with suppress(Exception):  # a broken logging setup must not look like a failure
        if IS_MAIN:
            log.warning("disabled by GCCTL_DISABLE: nothing is installed")
        elif not _said_remedy:
            _said_remedy = True
            log.warning("%s", REMEDY)
    return _installation_of(Config(policy="off"), "nowhere").controller


def _demand_gil() -> None:
    # Both cores rely on it. A free-threaded build switches it on when it imports the compiled core,
    # unless it was told not to.
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise GcctlError("gcctl needs the GIL, which is off in this process: set PYTHON_GIL=1")


def share_with_children() -> bool:
    """Call it in a process that has loaded what its children will use, before it forks them.

    It collects, and freezes what is left. So no collection of a child writes to that memory, and
    parent and children go on sharing it. From then on automatic GC is off in this process, not in
    the children. Before a later fork, call it again for what has been loaded since. `uninstall()`
    in a child thaws nothing of it. At the end of this process and of its children it is given back,
    unless the environment or the configuration file say `at_exit = "fast"`.

    Returns False, and does nothing, where gcctl is installed: then its policy decides what is
    frozen. So it does with `GCCTL_DISABLE=1`. Raises ConfigError for a value that is not accepted.
    """
    return not disabled() and share(Config.resolve())


def share(config: Config) -> bool:
    """As `share_with_children()`, with a configuration that is complete already."""
    twins.core.notice_fork()
    if _installation is not None:
        return False
    at_exit.manner = config.at_exit
    _hook_into_process()
    # What each child would import for itself is memory that they can share.
    import_the_rest()
    before_a_thread()
    log.logger()
    preload.share()
    return True


def _start(installation: Installation) -> None:
    """Start it, or put everything back."""
    try:
        _hook_into_process()
        installation.start()
        if _cancelled:
            raise GcctlError("gcctl was uninstalled while it was being installed")
    except BaseException:
        _put_back(installation)
        raise


def uninstall() -> None:
    """Put the interpreter's GC settings back as `install()` found them, and verify it.

    A setting that somebody else has changed since is left as it is and logged. Does nothing when
    nothing is installed. Raises GcctlError when a setting cannot be restored.
    """
    global _changing, _cancelled
    twins.core.notice_fork()
    me = _thread.get_ident()
    with _lock:
        if _changing:  # with the assignment below one step
            _cancelled = True  # install() then gives up; another uninstall() goes on
            return
        _changing = me
        try:
            installation = _installation
            if installation is None:
                batches.repair()
                return
            try:
                installation.finish()
            finally:
                _put_back(installation)
        finally:
            _changing = 0
    with suppress(Exception):  # all is done: a broken logging setup must not look like a failure
        installation.log_end()


def _put_back(installation: Installation) -> None:
    """Restore the settings; again from the start where a signal handler raises in the middle.

    If the second attempt is interrupted too, gcctl stays installed. The exit of the process or
    another call completes it.
    """
    try:
        installation.restore()
    except NotRestoredError:  # tried in full
        _forget(installation)
        raise
    except BaseException:
        installation.restore()
        _forget(installation)
        raise
    _forget(installation)


def _forget(installation: Installation) -> None:
    global _installation
    _installation = None
    installation.controller.installed = False


def _uninstall_if_installed(controller: Controller) -> None:
    with _lock:
        if controller.installed:
            uninstall()


def installed() -> Controller | None:
    """The controller that is installed in this process."""
    twins.core.notice_fork()
    installation = _installation
    return installation.controller if installation is not None else None


def idle() -> float | None:
    """Do one thing that waits for idle time, in a thread of the program that has nothing to do.

    Called when no boundary has come for `checks.INTERVAL_SECONDS`. Returns after how many seconds
    to call it again; None: not before the next boundary. For integrations that know of a place
    where the program waits.
    """
    twins.core.notice_fork()
    installation = _installation
    return installation.idle() if installation is not None else None


def follow_advice(follow: Callable[[RecycleAdvice], object]) -> None:
    """For integrations: have `follow(advice)` called at the boundary where recycling is advised."""
    installation = _installation
    if installation is not None:
        installation.follow_advice(follow)


def stats() -> Stats:
    """The statistics of the installed controller; all zero when there is none."""
    controller = installed()
    return controller.stats() if controller is not None else Stats()


def report(format: Literal["text", "json"] = "text") -> str:
    """The statistics for people, in several lines.

    With "json": everything that gcctl knows, as one line of JSON: statistics, configuration, the
    last collections. Raises ValueError for another format.
    """
    controller = installed()
    if controller is not None:
        return controller.report(format)
    from gcctl._monitor.report import render  # as Controller.report()

    return render(format, Stats(), None, ())


def check_memory() -> bool:
    """Compare memory with `memory_limit` now, and collect if it is over; True in high-memory mode.

    For work without request boundaries: call it after each chunk. Under the limit it takes about
    1 µs, or 5 µs where the limit is a share of memory. False when nothing is installed, or without
    a limit.
    """
    installation = _installation
    return installation is not None and installation.controller.check_memory()


def should_recycle() -> bool:
    """Whether this worker should be replaced by a fresh one after the request in hand.

    `stats().recycle_advice` says why. False when nothing is installed.
    """
    controller = installed()
    return controller is not None and controller.recycle_advice is not None


def _caller() -> str:
    """File and line that called install(), as a traceback would name them."""
    frame = sys._getframe(1).f_back
    if frame is None:  # a thread, or a host program, that calls install() itself
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _hook_into_process() -> None:
    """Register what runs at exit and at forks: once, because such hooks cannot be removed. Each
    finds out by itself whether gcctl is installed."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_fork_guard.after_in_parent)


def _at_exit() -> None:
    twins.core.notice_fork()  # else the lock may be that of a thread of the parent
    try:
        # A daemon thread may never leave uninstall(): a finalizer in it may wait for something.
        if _lock.acquire(timeout=EXIT_WAIT_SECONDS):
            try:
                uninstall()
            finally:
                _lock.release()
    finally:
        at_exit.end()


def _before_fork() -> None:
    twins.core.notice_fork()
    _fork_guard.before()


def _after_fork_in_child() -> None:
    global _lock, _changing
    if _changing != _thread.get_ident():  # a thread that is not in the child
        _lock = _thread.RLock()
        _changing = 0
    _fork_guard.after_in_child()
    if _installation is not None:
        _installation.after_fork()


in_child(_after_fork_in_child)
