"""The command line: `gcctl`, also `python -m gcctl`. One module per command.

May import the packages of gcctl, but not integrations or exporters.

`gcctl run` is to add as little as it can to what the program takes: what it does not need is
imported when it is needed.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing's own takes its time to import
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` asks for, by default the process's own arguments. Returns the
    exit status.

    With the process's own arguments, `gcctl run` becomes the program and does not return. Wrong
    arguments raise SystemExit(2), as argparse does.
    """
    from gcctl.cli import run

    words = sys.argv[1:] if argv is None else list(argv)
    # argparse never sees the words of the program: it would take some of them for options of ours.
    ours, program = run.split_program(words)
    becomes_program = argv is None
    try:
        if ours[:1] == [run.COMMAND.name] and (order := run.plain_order(ours, program)):
            return run.start(order, program, becomes_program=becomes_program)
        from argparse import Namespace

        from gcctl.cli._arguments import parse

        known = Namespace(program=program, becomes_program=becomes_program)
        args = parse(ours, known)
        status: int = args.command.run(args)
        return status
    except BrokenPipeError:  # the reader of our output has gone: gcctl demo | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
