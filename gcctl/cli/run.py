"""`gcctl run`: runs any program with gcctl installed.

The program must not notice: `__main__`, `sys.path`, tracebacks, warnings, pickles, signals and the
exit status are those of `python PROGRAM`. If it ran inside this interpreter, our frames would be at
the bottom of its stack, and everything else would have to be imitated. So this process becomes
(exec) `python PROGRAM` itself, with one addition: the directory `_boot` in PYTHONPATH. Its module
sitecustomize installs gcctl, and removes its own traces before python searches for the program.
"""

from __future__ import annotations

import marshal
import os
import sys

from gcctl.cli._boot import ORDER_VARIABLE
from gcctl.cli._python import PACKAGE_PARENT, honouring_pythonpath, interpreter_options

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing's own takes its time to import
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

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

FLAGS: Mapping[str, str] = {
    "--cycles": "print to stderr what cyclic garbage the program has made; automatic GC is off "
    "meanwhile, and it is collected concurrently, where that is possible",
    "--report": "print the report to stderr when the program ends",
}
ALL_OPTIONS = (*VALUE_OPTIONS, *FLAGS)


def split_program(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of gcctl's own command line, and those of the program that it runs."""
    if words[:1] != [RunCommand.name]:
        return list(words), []
    at = 1
    while at < len(words) and not _begins_program(words[at]):
        at += 2 if words[at] in VALUE_OPTIONS else 1
    return list(words[:at]), list(words[at:])


def _begins_program(word: str) -> bool:
    """A script, "-", "--", or -m. Options end there for python itself too."""
    return word in ("-", "--") or not word.startswith("-") or word.startswith("-m")


def plain_order(words: Sequence[str], program: Sequence[str]) -> dict[str, object] | None:
    """What `gcctl run` is to do, where each option is spelled as --help has it, as nearly always.

    None: argparse, which takes as long to import as all else here, is to say what is wrong.
    """
    if sys.flags.no_site or not program or program in (["--"], ["-m"]):
        return None
    order: dict[str, object] = dict.fromkeys(map(_name, VALUE_OPTIONS))
    order |= dict.fromkeys(map(_name, FLAGS), False)
    rest = iter(words[1:])
    for word in rest:
        if word in FLAGS:
            order[_name(word)] = True
            continue
        value = next(rest, "-") if word in VALUE_OPTIONS else "-"
        if value.startswith("-") or value not in VALUE_OPTIONS[word].get("choices", (value,)):
            return None
        order[_name(word)] = value
    return order


def _name(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


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
        for option, help_text in FLAGS.items():
            parser.add_argument(option, action="store_true", help=help_text)

    def run(self, args: argparse.Namespace) -> int:
        parser: argparse.ArgumentParser = args.parser
        program: list[str] = args.program
        if not program or program == ["--"]:
            parser.error("expected a SCRIPT or -m MODULE to run")
        if program == ["-m"]:
            parser.error("expected a MODULE after -m")
        if sys.flags.no_site:
            parser.error("python -S leaves out the site module, which gcctl run needs")
        order = {_name(option): getattr(args, _name(option)) for option in ALL_OPTIONS}
        return start(order, program, becomes_program=args.becomes_program)


def start(order: dict[str, object], program: Sequence[str], *, becomes_program: bool) -> int:
    """Start the program. `becomes_program`: in this process, and so without returning."""
    environment = _environment({**order, "package": PACKAGE_PARENT}, os.environ)
    command = [sys.executable, *honouring_pythonpath(interpreter_options()), *program]
    # Where exec is no true replacement (Windows), and where this process is somebody else's
    # (`main()` called with arguments), the program runs as a child.
    if becomes_program and os.name == "posix":
        _become(command, environment)
    return _run_child(command, environment)


def _environment(order: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """The program's environment, with `_boot` in PYTHONPATH and the order for it.

    The order says how to undo that. Where python was told to ignore its environment variables (-E,
    -I), it now must not, for PYTHONPATH's sake: so the others are put away meanwhile, under names
    that begin as the order's.
    """
    hidden = {"PYTHONPATH": environ.get("PYTHONPATH")}
    if sys.flags.ignore_environment:
        hidden |= {name: environ[name] for name in environ if name.startswith("PYTHON")}
    environment = {name: value for name, value in environ.items() if name not in hidden}
    paths = [BOOT_DIRECTORY]
    if environ.get("PYTHONPATH") and not sys.flags.ignore_environment:
        paths.append(environ["PYTHONPATH"])
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    for name, value in hidden.items():
        if value is not None:
            environment[f"{ORDER_VARIABLE}_{name}"] = value
    environment[ORDER_VARIABLE] = marshal.dumps({**order, "hidden": list(hidden)}).hex()
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
