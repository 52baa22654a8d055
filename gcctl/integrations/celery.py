"""Celery: gcctl in the processes of a worker that run tasks, and a boundary after each task.

    app = Celery("shop", broker="redis://")
    setup(app)

With the prefork pool, tasks run in the children; with any other pool in the worker itself. A
process that only sends tasks is not changed.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Any, Final

import gcctl
from gcctl._auto.checks import INTERVAL_SECONDS
from gcctl._base.extras import require
from gcctl._config.config import Config, disabled
from gcctl._interpreter.tenure import Tenure
from gcctl._lifecycle import install
from gcctl._process.twins import core
from gcctl.integrations._install import acts, install_here, uninstall_here
from gcctl.integrations.request_entry import begin

require("celery", "5.4", extra="celery")

from celery import Celery, bootsteps, signals, states  # noqa: E402
from celery.utils.log import get_logger  # noqa: E402

__all__ = ["setup"]

logger = get_logger("celery.gcctl")

WAKE_SECONDS: Final = 1.0
"""The event loop of a worker does idle work so often."""


def setup(app: Celery, *, freeze: bool = True, recycle: bool = True, **config: Any) -> None:
    """Have the workers of `app` use gcctl. Call it where the app is made.

    `config` are fields of `gcctl.Config`. They win over the app's setting `gcctl`: a mapping, a
    Config, or the path of a TOML file; None installs nothing. The setting is read when a worker
    starts. A value that is not accepted raises ConfigError there, and the worker does not start.

    With the prefork pool: `freeze` has the worker collect and freeze what it has before it forks
    its first child, so that the children go on sharing that memory. `recycle` has a child end after
    the task in hand if gcctl advises to recycle it; Celery then starts another.

    In a task, `task.request.gcctl` is the request: an `Entry` of gcctl._core.protocol.

    A second call does nothing. Raises GcctlError if it has other arguments than the first.
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
    """A step in the start of a worker's main process. It is made before the pool forks."""

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

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """The loop in which the main process waits begins, or begins again."""
        from celery.concurrency.prefork import TaskPool

        if not isinstance(parent.pool, TaskPool):
            self.gcctl.work_in(hub)

    def stop(self, parent: Any) -> None:
        """Nothing yet: the pool, with the tasks in hand, stops after this."""

    def terminate(self, parent: Any) -> None:
        self.gcctl.end()


class _Gcctl:
    """gcctl for one app, in a worker's main process and in its children, which inherit it."""

    def __init__(self, app: Celery, config: dict[str, Any], freeze: bool, recycle: bool) -> None:
        self._app = app
        self._overrides = config
        self._freeze = freeze
        self._recycle = recycle
        self._config: Config | None = None
        self._controller: gcctl.Controller | None = None
        self._tenure: Tenure | None = None
        self._timer: Any = None  # of the worker's event loop
        self._boundaries = 0  # when it rang last

    def prepare(self) -> None:
        """Raises ConfigError. Here it stops the worker; raised in a signal it would not."""
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
            (signals.worker_shutdown, self.end),  # after the tasks in hand
        )

    def _before_fork(self, **_: object) -> None:
        """Freeze before the first fork. Celery collects before each fork, which would write to the
        memory that it shares with its children. No collection goes through frozen objects.

        Under the policy `off` nothing is frozen.
        """
        only_measures = self._config is not None and not acts(self._config)
        if self._freeze and self._tenure is None and not only_measures:
            self._tenure = Tenure(core)
            if not self._tenure.missing:
                gc.collect()
                self._tenure.keep()

    def _child_begins(self, **_: object) -> None:
        self._tenure = None  # what the parent has frozen stays so
        self.begin()
        self._work_while_waiting()

    def _work_while_waiting(self) -> None:
        """Change how this child of the prefork pool waits for its next task.

        While it waits, it may end, as it does at `worker_max_tasks_per_child`. (To change that
        number would have no effect: the child has read it when it began.) And it does the idle work
        of gcctl.
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
            # After one task at least: else it could be replaced for ever.
            if self._recycle and controller.recycle_advice and core.boundaries():
                sys.exit(EX_RECYCLE)
            pause: float | None = INTERVAL_SECONDS
            with suppress(OSError):  # wait_for_job() handles it
                while pause is not None and not poll(pause):
                    ending = asked_to_end is not None and asked_to_end.is_set()
                    pause = None if ending else install.idle()
            return wait_for_job()

        pool_worker.wait_for_job = wait

    def work_in(self, hub: Any) -> None:
        """Have the worker's event loop do idle work, in the thread that it runs in."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = hub.call_repeatedly(WAKE_SECONDS, self._work)

    def _work(self) -> None:
        boundaries = core.boundaries()
        if boundaries == self._boundaries and not core.in_flight():
            install.idle()
        self._boundaries = boundaries

    def begin(self) -> None:
        """In a process that runs tasks."""
        if os.environ.get("FORKED_BY_MULTIPROCESSING"):
            self._resolve()
        if self._config is not None:
            self._controller = install_here(self._config, "gcctl.integrations.celery")
        signals.task_prerun.connect(_task_begins)
        signals.task_postrun.connect(_task_ends)

    def end(self, **_: object) -> None:
        """In such a process, and in a main process that has only forked."""
        signals.task_prerun.disconnect(_task_begins)  # _task_ends stays, for tasks that run
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
    # An eager task, which is run instead of sent, is a part of the task or request that runs it.
    if not task.request.is_eager:
        task.request.gcctl = begin()


def _task_ends(task: Any, retval: object, state: str | None, **_: object) -> None:
    """The boundary. The result is stored by now, and the next task of a chain is sent. The parent
    of a prefork pool still counts this child as busy, and gives the next task to an idle one."""
    entry = task.request.get("gcctl")
    if hasattr(entry, "leave"):  # a message may have a header of that name, with any value
        # There is no state when SystemExit or the like was raised.
        failure = retval if state == states.FAILURE else None if state else sys.exception()
        entry.leave(failure if isinstance(failure, BaseException) else None)
