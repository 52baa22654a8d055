"""The words of the command line, taken apart by argparse."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import NoReturn, Protocol

COMMANDS = ("run", "demo")
"""Each a module with a `COMMAND`. Only the one that is asked for is imported."""


class Command(Protocol):
    """What each command has; `run` returns the exit status."""

    name: str
    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def parse(words: Sequence[str], known: argparse.Namespace) -> argparse.Namespace:
    """What the words ask for, with what is `known` already. Raises SystemExit(2) for wrong ones."""
    args, unknown = _parser(_commands(words)).parse_known_args(words, known)
    if unknown:  # argparse would complain of them with the usage of all of gcctl
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


class _Version(argparse.Action):
    """As argparse's own, but looks only when asked: that takes as long as all else here."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> NoReturn:
        import importlib.metadata

        print("gcctl", importlib.metadata.version("gcctl"))
        parser.exit()


def _commands(words: Sequence[str]) -> list[Command]:
    """The one that the words ask for, or all."""
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
