"""Python's site module runs this when `gcctl run` has put this directory first in PYTHONPATH.

It undoes the change of PYTHONPATH, installs gcctl, and then runs the environment's own
sitecustomize, if there is one. Everything that happens in the program's process is in this file, so
that gcctl's command line is not imported there.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing's own takes its time to import
    from collections.abc import Mapping
    from typing import Any, NoReturn, TextIO

    import gcctl


LOG_FORMAT = "%(asctime)s [%(process)d] gcctl: %(levelname)s: %(message)s"


def _start() -> None:
    here = os.path.dirname(__file__)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    text = os.environ.pop("_GCCTL_RUN", None)  # gcctl.cli._boot.ORDER_VARIABLE
    if text is None:  # somebody else has put this directory in PYTHONPATH
        return
    order = marshal.loads(bytes.fromhex(text))
    for name in order["hidden"]:
        os.environ.pop(name, None)
        value = os.environ.pop(f"_GCCTL_RUN_{name}", None)
        if value is not None:
            os.environ[name] = value
    _load_gcctl(order["package"])
    _install(order)


def _load_gcctl(parent: str) -> None:
    """Import gcctl from the directory of the command line, which may not be on `sys.path` here."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("gcctl", [parent])
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"gcctl is no longer in {parent}", name="gcctl")
    sys.modules["gcctl"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def _install(order: Mapping[str, Any]) -> None:
    """Install gcctl as `order` (see `gcctl.cli.run`) says, until the program has ended."""
    import gcctl

    if order["report"] or order["json"] or order["log_level"]:
        # Now: later it could find the program's modules instead.
        import gcctl._monitor.report

    _set_up_logging(order["log_level"])
    json_file = _json_file(order["json"])
    try:
        controller = _controller(order)
    except gcctl.GcctlError as error:
        _refuse(str(error))
    # Functions registered later run earlier. So this one runs after all of the program's own.
    atexit.register(_finish, controller, os.getpid(), sys.stderr, order["report"], json_file)
    if order["cycles"]:
        _profile_cycles(sys.stderr)


def _profile_cycles(stderr: TextIO | None) -> None:
    """Profile cyclic garbage until the program has ended; in this process, not in its children."""
    from gcctl._concurrent.coordinator import coordinator
    from gcctl._concurrent.cycle_profiler import CycleProfiler
    from gcctl._config.config import disabled

    if disabled():
        return
    profiler = CycleProfiler(coordinator)
    started_in = os.getpid()

    def stop() -> None:
        if os.getpid() == started_in:
            said = profiler.why_not or profiler.stop()
            _say(stderr, f"gcctl cycles of process {started_in}\n{said}")

    atexit.register(stop)
    profiler.start()


def _controller(order: Mapping[str, Any]) -> gcctl.Controller:
    """Install with the options of the command, which beat the configuration."""
    import gcctl
    from gcctl._config.config import disabled
    from gcctl._lifecycle.install import install_config

    if disabled():
        return gcctl.install()
    config = gcctl.Config.resolve(order["policy"], order["config"])
    return install_config(config, "gcctl run")


def _set_up_logging(level: str | None) -> None:
    # Now: later it could find the program's modules instead. And its handlers are to be open still
    # when gcctl's last lines come: what registers for the exit first is called last.
    import logging

    logger = logging.getLogger("gcctl")
    if level is None:
        # The program's own handlers get the log. Without any, logging would print warnings to
        # stderr, mixed with the program's own output.
        logger.addHandler(logging.NullHandler())
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False  # the program's own handlers would print it a second time


class _JSONFile:
    """The file for the report as JSON. It is replaced as a whole: until then it is as it was."""

    def __init__(self, path: str) -> None:
        """Raises OSError or ValueError where nothing can be written."""
        # The full path, because the program may change directory; and the target of a link, so that
        # the link stays.
        self._path = os.path.realpath(path)
        self._started_in = os.getpid()
        if not os.path.basename(path):
            raise IsADirectoryError(errno.EISDIR, "it names a directory")
        import stat

        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(self._path).st_mode):  # such as /dev/null
                raise OSError(errno.EINVAL, "it is not a regular file")
        self._write("", None)

    def write(self, text: str) -> None:
        """Raises OSError. A forked child has a file of its own, with its pid before the suffix."""
        path = self._path
        if os.getpid() != self._started_in:
            root, suffix = os.path.splitext(path)
            path = f"{root}.{os.getpid()}{suffix}"
        self._write(text, path)

    def _write(self, text: str, path: str | None) -> None:
        """Write a new file, which then replaces `path`; None: it is removed again."""
        new = os.path.join(os.path.dirname(self._path), f".gcctl-{os.urandom(8).hex()}.tmp")
        try:
            with open(new, "x", encoding="ascii") as stream:
                stream.write(text)
            if path is not None:
                os.replace(new, path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(new)


def _json_file(path: str | None) -> _JSONFile | None:
    try:
        return None if path is None else _JSONFile(path)
    except (OSError, ValueError) as error:
        _refuse(f"--json {path!r} cannot be written: {getattr(error, 'strerror', error)}")


def _refuse(text: str) -> NoReturn:
    _say(sys.stderr, f"gcctl run: error: {text}")
    os._exit(2)  # SystemExit would be a fatal error of the interpreter's start


def _say(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # print() would take None for the program's stdout
        with contextlib.suppress(OSError, ValueError):  # its reader or the program has closed it
            print(text, file=stream, flush=True)


def _finish(
    controller: gcctl.Controller,
    started_in: int,
    stderr: TextIO | None,
    report: bool,
    json_file: _JSONFile | None,
) -> None:
    """At exit: restore the settings, then report, so that the final collection is in the report.

    A forked child that ends like a program gets here too. It reports if it is a worker that has
    served requests. Other children would only add noise.
    """
    try:
        controller.uninstall()
    finally:  # also after an error, such as a setting that cannot be restored
        if os.getpid() == started_in or controller.stats().requests:
            if report:
                _say(stderr, f"gcctl report of process {os.getpid()}\n{controller.report()}")
            try:
                if json_file is not None:
                    json_file.write(controller.report("json") + "\n")
            except OSError as error:
                _say(stderr, f"gcctl run: error: the report as JSON cannot be written: {error}")


try:
    _start()
except Exception:
    # The site module would print a line and go on, and the program would run without gcctl.
    if sys.stderr is not None:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)

del sys.modules[__name__]
# The environment's own becomes sys.modules["sitecustomize"] in our place. Without one there is an
# ImportError, which the site module expects. It reports any other exception as without us.
importlib.import_module("sitecustomize")
