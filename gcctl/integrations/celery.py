"""Celery: gcctl in the processes of a worker that run tasks, and a boundary after each task.

    app = Celery("shop", broker="redis://")
    setup(app)

Under the prefork pool these are the children, under any other pool the worker itself. Nothing is
connected, and nothing changed, in a process that only sends tasks.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Any

import gcctl
from gcctl._auto.idle import INTERVAL_SECONDS
from gcctl._base.extras import require
from gcctl._config.config import Config, disabled
from gcctl._interpreter.preload import preload
from gcctl._interpreter.tenure import Tenure
from gcctl._lifecycle import install
from gcctl._process.twins import core
from gcctl.integrations._install import install_here, uninstall_here
from gcctl.integrations.request_entry import begin

require("celery", "5.4", extra="celery")

from celery import Celery, bootsteps, signals, states  # noqa: E402
from celery.utils.log import get_logger  # noqa: E402

__all__ = ["setup"]

logger = get_logger("celery.gcctl")


def setup(app: Celery, *, freeze: bool = True, recycle: bool = True, **config: Any) -> None:
    """Have the workers of `app` use gcctl. To be called where the app is made.

    `config` are fields of `gcctl.Config`; they win over those of the app's setting `gcctl` (a
    mapping, a Config, or the path of a TOML file; None: install nothing), which is read when a
    worker starts. What is not accepted is a ConfigError that keeps the worker from starting.

    Under the prefork pool: with `freeze`, the worker collects and freezes what it has before it
    forks its first child, so that the children go on sharing that memory; with `recycle`, a child
    that gcctl advises to be recycled ends after the task in hand, and Celery starts another.

    In a task, `task.request.gcctl` is the request: an `Entry` of gcctl._core.protocol.

    A second time does nothing. Raises GcctlError where that has other arguments.
    """
    steps = app.steps["worker"]
    given = {**config, "freeze": freeze, "recycle": recycle}
    for step in steps:
        if isinstance(step, type) and issubclass(step, _Step):
            if step.given != given:
                raise gcctl.GcctlError(
                    f"gcctl.integrations.celery: {app!r} is set up already with {step.given}, "
                    f"not with {given}"
                )
            return
    gcctl_of_worker = _Gcctl(app, config, freeze, recycle)
    steps.add(type("Gcctl", (_Step,), {"gcctl": gcctl_of_worker, "given": given}))
    if os.environ.get("FORKED_BY_MULTIPROCESSING"):  # a child that was spawned: it runs no steps
        gcctl_of_worker.connect()


class _Step(bootsteps.StartStopStep):  # type: ignore[misc, unused-ignore]
    """Of a worker's main process. In its order of things, steps are made before the pool forks."""

    requires = ("celery.worker.components:Pool",)
    label = "gcctl"
    gcctl: _Gcctl
    given: dict[str, Any]

    def create(self, parent: Any) -> None:
        self.gcctl.prepare()

    def start(self, parent: Any) -> None:
        from celery.concurrency.prefork import TaskPool

        if not isinstance(parent.pool, TaskPool):
            self.gcctl.begin()

    def stop(self, parent: Any) -> None:
        """Not yet: the pool, and with it the tasks in hand, is stopped after this."""

    def terminate(self, parent: Any) -> None:
        self.gcctl.end()


class _Gcctl:
    """Of one app: in a worker's main process, and in the children, which inherit it."""

    def __init__(self, app: Celery, config: dict[str, Any], freeze: bool, recycle: bool) -> None:
        self._app = app
        self._overrides = config
        self._freeze = freeze
        self._recycle = recycle
        self._config: Config | None = None
        self._controller: gcctl.Controller | None = None
        self._tenure: Tenure | None = None

    def prepare(self) -> None:
        """Raises ConfigError, here where that stops the worker. From a signal it would not."""
        if disabled():
            logger.warning("gcctl is disabled by GCCTL_DISABLE")
            return
        self._resolve()
        self.connect()

    def _resolve(self) -> None:
        given = self._app.conf.get("gcctl", {})
        self._config = None if given is None else Config.resolve(None, given, self._overrides)

    def connect(self) -> None:
        for signal, receiver in self._receivers():
            signal.connect(receiver, weak=False)

    def _receivers(self) -> tuple[tuple[Any, Any], ...]:
        return (
            (signals.worker_before_create_process, self._before_fork),
            (signals.worker_process_init, self._child_begins),
            (signals.worker_process_shutdown, self.end),
            (signals.worker_shutdown, self.end),  # when the tasks in hand have ended
        )

    def _before_fork(self, **_: object) -> None:
        """Before the first. Celery collects before each fork, which writes to the memory that it
        shares with the children there are; what is frozen is not gone through."""
        if self._freeze and self._tenure is None:
            self._tenure = Tenure(core.freeze)
            if self._tenure.possible:
                gc.collect()
                self._tenure.keep()

    def _child_begins(self, **_: object) -> None:
        if self._tenure is not None and self._tenure.ours:
            preload.frozen = True  # by the parent: not for a child to give back
        self._tenure = None
        self.begin()
        self._attend_waiting()

    def _attend_waiting(self) -> None:
        """Act where this child of the prefork pool waits for its next task.

        There it may end, as it does for `worker_max_tasks_per_child`: that number itself was read
        when the child began. And there it does what waits for idle times, which the thread for that
        leaves alone where the broker's client has imported asyncio.
        """
        from billiard.pool import EX_RECYCLE
        from billiard.process import current_process

        controller = self._controller
        if controller is None or not controller.installed:
            return
        try:
            pool_worker: Any = current_process()._target
            wait_for_job, poll = pool_worker.wait_for_job, pool_worker.inq._reader.poll
            asked_to_end = pool_worker._shutdown  # an Event, or None
        except AttributeError:
            logger.warning("this billiard is not known: gcctl cannot act between two tasks")
            return

        def wait() -> Any:
            if self._recycle and controller.recycle_advice and core.boundaries():  # one at least
                sys.exit(EX_RECYCLE)
            pause: float | None = INTERVAL_SECONDS
            with suppress(OSError):  # wait_for_job() knows what to do about that
                while pause is not None and not poll(pause):
                    ending = asked_to_end is not None and asked_to_end.is_set()
                    pause = None if ending else install.idle()
            return wait_for_job()

        pool_worker.wait_for_job = wait

    def begin(self) -> None:
        """In a process that runs tasks."""
        if os.environ.get("FORKED_BY_MULTIPROCESSING"):
            self._resolve()
        if self._config is not None:
            self._controller = install_here(self._config, "gcctl.integrations.celery")
        signals.task_prerun.connect(_task_begins)
        signals.task_postrun.connect(_task_ends)

    def end(self, **_: object) -> None:
        """There, and in a main process that has only forked."""
        signals.task_prerun.disconnect(_task_begins)  # what has begun may still end
        for signal, receiver in self._receivers():
            signal.disconnect(receiver)
        if self._tenure is not None:
            self._tenure.end()
            self._tenure = None
        controller, self._controller = self._controller, None
        if controller is not None and controller.installed:
            uninstall_here(controller)
            logger.info("%s", controller.report())


def _task_begins(task: Any, **_: object) -> None:
    # One that is run in place of being sent is a part of the task or request that runs it.
    if not task.request.is_eager:
        task.request.gcctl = begin()


def _task_ends(task: Any, retval: object, state: str | None, **_: object) -> None:
    """By now the result is stored, and what follows in a chain is sent. The prefork pool's parent
    still counts this child as busy, and gives the next task to an idle one."""
    entry = task.request.get("gcctl")
    if hasattr(entry, "leave"):  # the headers of a message can have anything of that name
        # There is no state where SystemExit or the like goes through.
        failure = retval if state == states.FAILURE else None if state else sys.exception()
        entry.leave(failure if isinstance(failure, BaseException) else None)
