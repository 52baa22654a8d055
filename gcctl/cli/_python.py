"""The command line that starts another interpreter like this one."""

from __future__ import annotations

import os
import sys

import gcctl

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing's own takes its time to import
    from collections.abc import Sequence

PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.abspath(gcctl.__file__)))
"""The directory in which `import gcctl` found the package."""


def _taken_apart(word: str) -> tuple[str, str, str]:
    """A word of python's own short options: flags, then at most one letter that takes a value, then
    that value. The letters c and m end the options. The value of W and X may be the next word."""
    for at, letter in enumerate(word):
        if letter in "cmWX":
            return word[:at], letter, word[at + 1 :]
    return word, "", ""


def interpreter_options(orig_argv: Sequence[str] | None = None) -> list[str]:
    """The options with which python itself was started, such as ["-X", "dev", "-u"].

    They are read from `sys.orig_argv`, because `sys.flags` lacks -u and the -X options.
    """
    options: list[str] = []
    words = iter((sys.orig_argv if orig_argv is None else orig_argv)[1:])
    for word in words:
        if word in ("-", "--") or not word.startswith("-"):
            break
        if word.startswith("--"):  # only --check-hash-based-pycs MODE lets a program run
            options += [word, next(words, "")]
            continue
        flags, letter, value = _taken_apart(word)
        if letter in ("c", "m"):
            options += [flags] if flags != "-" else []
            break
        options += [word] if value or not letter else [word, next(words, "")]
    return options


def honouring_pythonpath(options: Sequence[str]) -> list[str]:
    """`options` without -E, and with -P and -s in place of -I: the rest of what -I means."""
    kept: list[str] = []
    for word in options:
        if word.startswith("-") and not word.startswith("--"):
            flags, letter, value = _taken_apart(word)
            word = flags.replace("E", "").replace("I", "Ps") + letter + value
        kept += [word] if word != "-" else []
    return kept


def same_gcctl(module: str) -> list[str]:
    """The command that runs a module of this very gcctl in another interpreter like this one."""
    # `-m` searches the working directory first, which may have another gcctl. -P leaves it out,
    # unless this gcctl comes from there.
    safe = [] if os.getcwd() == PACKAGE_PARENT else ["-P"]
    return [sys.executable, *interpreter_options(), *safe, "-m", module]
