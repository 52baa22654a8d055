"""The command line: `gcctl`, also `python -m gcctl`. One module per command, see `COMMANDS`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol

from gcctl.cli.run import split_program


class Command(Protocol):
    """What each command has; `run` returns the exit status."""

    name: str
    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


COMMANDS = ("run", "demo")
"""The names of modules that have a `COMMAND`. Only the one that is asked for is imported, because
`gcctl run` shall add little to the time of the program."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` asks for, by default the process's own arguments. Returns the
    exit status.

    With the process's own arguments, `gcctl run` becomes the program and does not return. Wrong
    arguments raise SystemExit(2), as argparse does.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    # argparse must not see the words of the program: it would take some of them as options of ours.
    ours, program = split_program(words)
    known = argparse.Namespace(program=program, becomes_program=argv is None)
    args, unknown = _parser(_commands(ours)).parse_known_args(ours, known)
    if unknown:  # argparse's own error would show the usage of all of gcctl
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    command: Command = args.command
    try:
        return command.run(args)
    except BrokenPipeError:  # nobody reads our output any more: gcctl demo | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


class _Version(argparse.Action):
    """As argparse's own action. It finds the version only when asked, because that takes as long as
    everything else here."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> NoReturn:
        import importlib.metadata

        print("gcctl", importlib.metadata.version("gcctl"))
        parser.exit()


def _commands(words: Sequence[str]) -> list[Command]:
    """The command that the words ask for, or all commands."""
    names = words[:1] if words and words[0] in COMMANDS else COMMANDS
    return [importlib.import_module(f"gcctl.cli.{name}").COMMAND for name in names]


def _parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gcctl",
        description="A controller for CPython's cyclic garbage collector.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        subparser = subparsers.add_parser(
            command.name, help=command.help, description=command.help, allow_abbrev=False
        )
        subparser.set_defaults(command=command, parser=subparser)
        command.add_arguments(subparser)
    return parser
