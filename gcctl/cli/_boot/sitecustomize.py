"""Run by python's site module where `gcctl run` put this directory first in PYTHONPATH.

It undoes that, starts the controller, and then does what there would have been without it: the
environment's own sitecustomize, or none. All that must happen in the program's process is in this
file, so that gcctl's command line is not imported there.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Mapping
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import gcctl


def _start() -> None:
    here = os.path.dirname(__file__)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    text = os.environ.pop("_GCCTL_RUN", None)  # gcctl.cli._boot.ORDER_VARIABLE
    if text is None:  # somebody else's PYTHONPATH
        return
    order = json.loads(text)
    for name, value in order["environ"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    _load_gcctl(order["package"])
    _install(order)


def _load_gcctl(parent: str) -> None:
    """Import gcctl from where the command line came from, which need not be on `sys.path` here."""
    spec = PathFinder.find_spec("gcctl", [parent])
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"gcctl is no longer in {parent}", name="gcctl")
    sys.modules["gcctl"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _install(order: Mapping[str, Any]) -> None:
    """The controller, as `order` (see `gcctl.cli.run`) says, until the program has ended."""
    import gcctl

    if order["log_level"]:
        _log_to_stderr(order["log_level"])
    try:
        controller = _controller(order)
    except gcctl.GcctlError as error:
        if sys.stderr is not None:  # print() would take None for the program's stdout
            print(f"gcctl run: error: {error}", file=sys.stderr, flush=True)
        os._exit(2)  # SystemExit would be a fatal error of the interpreter's start
    # Functions registered later run earlier: this one sees what all of the program's own have done.
    atexit.register(_finish, controller, os.getpid(), sys.stderr if order["report"] else None)


def _controller(order: Mapping[str, Any]) -> gcctl.Controller:
    """Installed with the preset "off" where neither the command nor any configuration names one.

    A program that marks no requests would never be collected under the presets that switch
    automatic GC off; only who wrote or configured it can know that it does.
    """
    import gcctl
    from gcctl.lifecycle import install_config

    if gcctl.config.disabled():
        return gcctl.install()
    config = gcctl.Config.resolve(order["policy"], order["config"])
    if "policy" not in config.given:
        config = config.replace(policy="off")
    return install_config(config, "gcctl run")


def _log_to_stderr(level: str) -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("gcctl: %(levelname)s: %(message)s"))
    logger = logging.getLogger("gcctl")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False  # the program's own handlers would print it a second time


def _finish(controller: gcctl.Controller, started_in: int, stream: TextIO | None) -> None:
    """At exit: the settings as they were, then the report, which so has the final collection too.

    A forked child that ends like a program gets here as well. Its report is wanted where it is a
    worker that has served requests, and noise otherwise.
    """
    try:
        controller.uninstall()
    finally:  # a setting that cannot be restored is an error, and the report is still owed
        if stream is not None and (os.getpid() == started_in or controller.stats().requests):
            title = f"gcctl report of process {os.getpid()}"
            with contextlib.suppress(OSError, ValueError):  # closed by its reader or the program
                print(title, controller.report(), sep="\n", file=stream, flush=True)


try:
    _start()
except Exception:
    # The site module would print a line and go on: the program would run without the controller.
    if sys.stderr is not None:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)

del sys.modules[__name__]
# It becomes sys.modules["sitecustomize"] in our stead. When there is none, its ImportError is what
# the site module expects; any other exception is reported as it would have been without us.
importlib.import_module("sitecustomize")
