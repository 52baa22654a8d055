"""Garbage that says in which thread it was finalized, for the programs beside this file.

Each of them is run by python, or by `gcctl run`; with `--install` it installs gcctl itself. At the
end it prints a line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import resource
import sys
import threading
import time

SPELL_SECONDS = 0.4
"""So long a program works, and then so long it has nothing to do."""

HEAP = 500_000

made = itertools.count()
finalized = itertools.count()
"""Their next numbers are how many there were. No thread switch makes them miss one."""
elsewhere: dict[str, int] = {}
"""How many objects were finalized in a thread that is not the program's, by its name."""
errors: list[str] = []
"""What finalizers and callbacks raised: each once, and ten at most."""

own_threads = {threading.get_native_id()}


class Witness:
    """In a cycle from the beginning: garbage as soon as nobody has it any more."""

    def __init__(self, *held: object) -> None:
        next(made)
        self.itself = self
        self.held = held

    def __del__(self) -> None:
        next(finalized)
        if threading.get_native_id() not in own_threads:
            name = threading.current_thread().name
            elsewhere[name] = elsewhere.get(name, 0) + 1


def thread_of_the_program() -> None:
    """To be called in each thread that the program makes."""
    own_threads.add(threading.get_native_id())


def _note(raised: sys.UnraisableHookArgs) -> None:
    error = f"{raised.exc_type.__name__}: {raised.exc_value}"
    if len(errors) < 10 and error not in errors:
        errors.append(error)


class Soak:
    """How long a program has still to go, and which spell it is in."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--seconds", type=float, default=3.0)
        parser.add_argument("--install", action="store_true", help="install gcctl")
        options = parser.parse_args()
        sys.unraisablehook = _note
        # What the program keeps is so large that collections of old objects take their time; and
        # that the code of gcctl counts for little in the memory of the process.
        self._heap = [[number] for number in range(HEAP)]
        self._seconds: float = options.seconds
        self._installed: bool = options.install
        if options.install:
            import gcctl

            logging.getLogger("gcctl").setLevel(logging.ERROR)  # a busy machine makes long pauses
            gcctl.install()
        self._begun = time.monotonic()

    @property
    def is_over(self) -> bool:
        return self.seconds_left <= 0

    @property
    def seconds_left(self) -> float:
        return self._begun + self._seconds - time.monotonic()

    @property
    def works(self) -> bool:
        """Whether this is a spell of work."""
        return int((time.monotonic() - self._begun) / SPELL_SECONDS) % 2 == 0

    def tell(self) -> None:
        """At the end of the program."""
        before = next(finalized)
        if self._installed:
            import gcctl

            gcctl.uninstall()
        gc.collect()
        row = {
            "made": next(made),
            "finalized": (all_of_them := next(finalized) - 1),  # without the number taken above
            "left_to_the_end": all_of_them - before,
            "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "elsewhere": elsewhere,
            "errors": errors,
        }
        print(json.dumps(row), flush=True)
