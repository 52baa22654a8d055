"""gunicorn's hooks: `from gcctl.integrations.gunicorn import *` in gunicorn.conf.py.

With `preload_app`, the master collects and freezes its heap before it forks the workers. Each
worker installs gcctl with the configuration from the environment and from the file of GCCTL_CONFIG.
The boundary comes when a response is out. Workers take turns with full collections. A worker that
is advised to be recycled stops as it does at `max_requests`.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import gcctl
from gcctl._auto.checks import INTERVAL_SECONDS
from gcctl._base.extras import require
from gcctl._concurrent.staggering import AUTO, turn
from gcctl._config.config import Config, disabled
from gcctl._lifecycle import install
from gcctl._memory.recycling import RecycleAdvice
from gcctl._process.twins import core
from gcctl.integrations._install import acts
from gcctl.integrations.request_entry import enter_server, leave_server

__all__ = [
    "post_fork",
    "post_request",
    "post_worker_init",
    "pre_fork",
    "pre_request",
    "worker_exit",
]

require("gunicorn", "22.0", extra="gunicorn")

ONE_AT_A_TIME: Final = frozenset({"gunicorn.workers.sync", "gunicorn.workers.gthread"})
"""Modules of the worker classes that handle each request in one thread, from hook to hook."""

NOT_SEEN: Final = "gcctl: requests of this %s are not seen; mark them with gcctl.request()"

SYNC: Final = "gunicorn.workers.sync"

INTERVAL_NS: Final = int(INTERVAL_SECONDS * 1e9)
WAKE_NS: Final = 10**9
"""Idle work where nothing is owed comes at a wake-up after so long: it may be owed by now."""

UVICORN: Final = frozenset({"uvicorn", "uvicorn_worker"})
"""Packages with a worker class by which gunicorn starts uvicorn."""

ASYNCHRONOUS: Final = "gunicorn.workers.base_async"
"""Module of the worker classes that handle many requests in one thread, with greenlets."""


class _Boundary:
    """Where the requests of this worker end."""

    in_hooks = False
    """In the hooks around each request; else in a middleware."""


def pre_fork(server: Any, worker: Any) -> None:
    """In the master: collect and freeze what was preloaded, and switch automatic GC off there.

    Under the policy `off` nothing is done.
    """
    environment = _environment(server.cfg)
    if disabled(environment):
        return
    try:
        worker.gcctl_config = config = Config.resolve(environ=environment)
    except gcctl.ConfigError:  # post_fork() raises it, in the worker
        return
    if not acts(config):
        return
    try:
        turn.share_with_children()
    except OSError as error:
        server.log.warning("gcctl: full collections will not be staggered: %s", error)
    if server.cfg.preload_app and not install.share(config):
        server.log.warning(
            "gcctl: the application has installed gcctl in the master: "
            "what was preloaded is not frozen for the workers"
        )


def post_fork(server: Any, worker: Any) -> None:
    """In a worker: install gcctl. Raises ConfigError for a configuration that is not accepted."""
    environment = _environment(worker.cfg)
    if disabled(environment):
        worker.log.info("gcctl: disabled by GCCTL_DISABLE")
        return
    controller = install.installed()  # perhaps by the application, before the fork
    if controller is None:
        # gunicorn does the same, but later: GCCTL_WITHOUT is read where gcctl is installed.
        os.environ.update(worker.cfg.env)
        found = getattr(worker, "gcctl_config", None)  # by pre_fork()
        config = found or Config.resolve(environ=environment)
        if "stagger" not in config.given and turn.shared and acts(config):
            config = config.replace(stagger=AUTO)
        controller = install.install_config(config, "gunicorn's post_fork")

    def recycle(advice: RecycleAdvice) -> None:
        worker.log.info("Autorestarting worker: gcctl advises it: %s", advice.message)
        _stop(worker)

    install.follow_advice(recycle)


def post_worker_init(worker: Any) -> None:
    """In a worker that has loaded its application: find out where its requests end, and where it
    wakes up while none comes."""
    if install.installed() is None:
        return
    _Wakes(worker)
    classes = {ancestor.__module__ for ancestor in type(worker).__mro__}
    if classes & ONE_AT_A_TIME:
        _Boundary.in_hooks = True
    elif hasattr(worker, "asgi"):
        worker.asgi = _as_asgi(worker, worker.asgi)
        for hook in (pre_request, post_request):  # not needed; without hooks, requests cost less
            setting = worker.cfg.settings[hook.__name__]
            if setting.get() is hook:
                setting.set(setting.default)
    elif {name.partition(".")[0] for name in classes} & UVICORN:
        worker.wsgi = _as_asgi(worker, worker.wsgi)
    elif ASYNCHRONOUS in classes:
        from gcctl.integrations.wsgi import GcctlMiddleware

        worker.wsgi = GcctlMiddleware(worker.wsgi)
    else:
        worker.log.warning(NOT_SEEN, type(worker).__name__)


def pre_request(worker: Any, req: Any) -> None:
    """A request begins."""
    if _Boundary.in_hooks:
        enter_server()


def post_request(worker: Any, req: Any, environ: Any = None, resp: Any = None) -> None:
    """The response is out: the boundary."""
    if _Boundary.in_hooks:
        error = sys.exc_info()[1]  # gunicorn calls this in a `finally`
        # An OSError means that the client has gone, which is no failure of the application.
        leave_server(None if isinstance(error, OSError) else error)


def worker_exit(server: Any, worker: Any) -> None:
    """In a worker that ends: put everything back, and log the report."""
    controller = install.installed()
    if controller is None or worker.pid != os.getpid():  # gunicorn may call it in the master too
        return
    gcctl.uninstall()
    worker.log.info("%s", controller.report())


class _Wakes:
    """Idle work where a worker wakes up to tell the arbiter that it is alive: `notify()`."""

    def __init__(self, worker: Any) -> None:
        self._notify = worker.notify
        self._boundaries = 0
        self._work_at_ns = 0
        self._owes = False  # whether it is worth waking up for
        worker.notify = self.notify
        if any(ancestor.__module__ == SYNC for ancestor in type(worker).__mro__):
            self._wait = worker.wait
            worker.wait = self.wait

    def notify(self) -> None:
        self._notify()
        now, boundaries = core.now(), core.boundaries()
        if boundaries != self._boundaries:
            self._boundaries, self._owes = boundaries, True
            self._work_at_ns = now + INTERVAL_NS
        elif now >= self._work_at_ns:
            wanted = None if core.in_flight() else install.idle()
            self._owes = wanted is not None
            self._work_at_ns = now + (WAKE_NS if wanted is None else int(wanted * 1e9))

    def wait(self, timeout: float) -> Any:
        """The sync worker waits for half its `timeout`; too long for what is owed."""
        if self._owes:
            timeout = min(timeout, max(self._work_at_ns - core.now(), 0) / 1e9)
        return self._wait(timeout)


def _environment(cfg: Any) -> Mapping[str, str]:
    """The environment, with gunicorn's `raw_env`, which gunicorn sets only after `post_fork`."""
    return {**os.environ, **cfg.env}


def _as_asgi(worker: Any, app: Any) -> Any:
    """The application in gcctl's ASGI middleware; as it is, with a warning, if it is not ASGI 3."""
    if not any(map(inspect.iscoroutinefunction, (app, getattr(app, "__call__", None)))):  # noqa: B004
        worker.log.warning(NOT_SEEN, "application that is not ASGI 3")
        return app
    from gcctl.integrations.asgi import GcctlMiddleware

    return GcctlMiddleware(app)


def _stop(worker: Any) -> None:
    """Finish the requests in hand and exit, as at `max_requests`."""
    worker.alive = False
    with suppress(OSError):  # the pipe is full, so the worker wakes up anyway
        os.write(worker.PIPE[1], b"1")
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if hasattr(server, "should_exit"):  # uvicorn's, which does not ask whether the worker is alive
        server.should_exit = True
