"""`gcctl run`: runs any program with gcctl installed.

The program must not notice: `__main__`, `sys.path`, tracebacks, warnings, pickles, signals and the
exit status are those of `python PROGRAM`. If it ran inside this interpreter, our frames would be at
the bottom of its stack, and everything else would have to be imitated. So this process becomes
(exec) `python PROGRAM` itself, with one addition: the directory `_boot` in PYTHONPATH. Its module
sitecustomize installs gcctl, and removes its own traces before python searches for the program.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from gcctl.cli._boot import ORDER_VARIABLE
from gcctl.cli._python import PACKAGE_PARENT, honouring_pythonpath, interpreter_options

BOOT_DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_boot")
PRESETS = "auto, instagram, production, conservative, off"
"""The names in presets.py, which a test compares. Importing it takes as long as everything else."""
LOG_LEVELS = ("debug", "info", "warning", "error")
VALUE_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--policy": {"help": f"the preset: {PRESETS} (default: the configuration's)"},
    "--config": {
        "metavar": "FILE",
        "help": "a TOML file with a table [gcctl], or a pyproject.toml with [tool.gcctl]",
    },
    "--json": {
        "metavar": "PATH",
        "help": "write the report as JSON to this file when the program ends",
    },
    "--log-level": {
        "metavar": "LEVEL",
        "choices": LOG_LEVELS,
        "help": f"print gcctl's log to stderr from this level on: {', '.join(LOG_LEVELS)}",
    },
}
PROGRAM = re.compile("(?!-)|--?$|-m")
"""The first word of a program: a script, "-", "--" or -m. Options of python itself end there
too."""


def split_program(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of gcctl's own command line, and those of the program that it runs."""
    if words[:1] != [RunCommand.name]:
        return list(words), []
    at = 1
    while at < len(words) and not PROGRAM.match(words[at]):
        at += 2 if words[at] in VALUE_OPTIONS else 1
    return list(words[:at]), list(words[at:])


class RunCommand:
    """Run a script or a module as python would, with gcctl installed."""

    name = "run"
    help = "run a program under the controller, exactly as python would run it"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.usage = (
            "gcctl run [-h] [--policy POLICY] [--config FILE] [--report] [--json PATH] [--cycles] "
            "[--log-level LEVEL] (SCRIPT | -m MODULE) [ARGUMENTS ...]"
        )
        parser.description = (
            "Run a program under the controller, exactly as python would run it: a script, a "
            "directory or zip file with a __main__.py, - for standard input, or a module with -m. "
            "Everything from SCRIPT or -m on belongs to the program."
        )
        for option, settings in VALUE_OPTIONS.items():
            parser.add_argument(option, **settings)
        parser.add_argument(
            "--cycles",
            action="store_true",
            help="print to stderr what cyclic garbage the program has made; automatic GC is off "
            "meanwhile, and it is collected concurrently, where that is possible",
        )
        parser.add_argument(
            "--report", action="store_true", help="print the report to stderr when the program ends"
        )

    def run(self, args: argparse.Namespace) -> int:
        parser: argparse.ArgumentParser = args.parser
        program: list[str] = args.program
        if not program or program == ["--"]:
            parser.error("expected a SCRIPT or -m MODULE to run")
        if program == ["-m"]:
            parser.error("expected a MODULE after -m")
        if sys.flags.no_site:
            parser.error("python -S leaves out the site module, which gcctl run needs")
        order = {
            "package": PACKAGE_PARENT,
            "policy": args.policy,
            "config": args.config,
            "report": args.report,
            "json": args.json,
            "cycles": args.cycles,
            "log_level": args.log_level,
        }
        environment = _environment(order, os.environ)
        command = [sys.executable, *honouring_pythonpath(interpreter_options()), *program]
        # The program runs as a child where exec does not replace a process (Windows), and where
        # this process is somebody else's (`main()` was called with arguments).
        if args.becomes_program and os.name == "posix":
            _become(command, environment)
        return _run_child(command, environment)


def _environment(order: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """The program's environment, with `_boot` in PYTHONPATH and the order for it.

    The order says how to undo that. Where python was told to ignore its environment variables (-E,
    -I), it must now read PYTHONPATH. So the other variables are hidden until `_boot` runs.
    """
    hidden: dict[str, str | None] = {"PYTHONPATH": environ.get("PYTHONPATH")}
    if sys.flags.ignore_environment:
        hidden |= {name: environ[name] for name in environ if name.startswith("PYTHON")}
    environment = {name: value for name, value in environ.items() if name not in hidden}
    paths = [BOOT_DIRECTORY]
    if environ.get("PYTHONPATH") and not sys.flags.ignore_environment:
        paths.append(environ["PYTHONPATH"])
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment[ORDER_VARIABLE] = json.dumps({**order, "environ": hidden})
    return environment


def _become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None: it was closed from the start
            stream.flush()
    os.execve(command[0], list(command), dict(environment))


def _run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    import subprocess  # only here, because the import takes its time

    with subprocess.Popen(command, env=dict(environment)) as child:
        while True:
            try:
                status = child.wait()
            except KeyboardInterrupt:
                continue  # the terminal has sent it to the program too, which decides what to do
            return status if status >= 0 else 128 - status  # killed by a signal: as shells say it


COMMAND = RunCommand()
