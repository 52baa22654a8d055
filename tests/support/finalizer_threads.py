"""Do finalizers run in threads of the program only?

While this watches, each `__del__` of a class that a class statement makes first asks in which
thread it runs. A thread belongs to the program if it is the main thread, or was started by code
that is not gcctl's. What runs anywhere else is noted, with the name of the thread and its stack.
The collector calls back for weak references, and its own callbacks, in the thread in which it runs
finalizers; so those need no watch of their own.

No object is made for it that a collection could count, and no callback is registered: tests count
both. It imports as little as gcctl does, because programs are watched from their start.
"""

from __future__ import annotations

import _thread
import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

STARTERS = ("start_new_thread", "start_new", "start_joinable_thread")
"""The functions of the module `_thread` that start one. `threading` has them with a "_" before."""

native_id, get_ident = _thread.get_native_id, _thread.get_ident
"""As they were before somebody (gevent) replaced them."""

ELSEWHERE = "which is not the program's"
"""This is in each report."""

TASKS = "/proc/self/task"


def package(module: object) -> str:
    return str(module).partition(".")[0]


class FinalizerThreads:
    """The watch over one process."""

    def __init__(self) -> None:
        self._of_the_program = {native_id()}
        """By the numbers that the system gives threads: it does not give them again soon, as Python
        does its own."""
        self._by_python_s_number: set[int] = set()
        self._forks_in_one = True
        self.seen: list[str] = []

    def start(self) -> None:
        """Watch from now on."""
        build = builtins.__build_class__

        def build_watched(*arguments: Any, **options: Any) -> Any:
            made = build(*arguments, **options)
            self._watch_class(made)
            return made

        builtins.__build_class__ = build_watched
        for starter in STARTERS:
            original = getattr(_thread, starter, None)
            if original is None:
                continue
            watched = self._watched_starter(original)
            setattr(_thread, starter, watched)
            threading = sys.modules.get("threading")
            if getattr(threading, f"_{starter}", None) is original:
                setattr(threading, f"_{starter}", watched)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)

    def take_threads_that_are_there(self) -> None:
        """All threads that are there now are the program's."""
        if os.path.isdir(TASKS):
            self._of_the_program |= {int(name) for name in os.listdir(TASKS)}

    def note(self, text: str) -> None:
        """A finalizer ran elsewhere."""
        self.seen.append(text)

    def _watch_class(self, made: object) -> None:
        if not isinstance(made, type):
            return
        own = type.__dict__["__dict__"].__get__(made)  # whatever its metaclass makes of attributes
        finalizer = own.get("__del__")
        if not callable(finalizer) or package(own.get("__module__")) == "gcctl":
            return

        def watched(itself: object) -> object:
            if not self._is_of_the_program():
                self.note(elsewhere(itself))
            return finalizer(itself)

        watched.__name__ = "__del__"
        watched.__qualname__ = getattr(finalizer, "__qualname__", "__del__")
        try:
            type.__setattr__(made, "__del__", watched)
        except TypeError:  # a class that nobody may change
            return

    def _watched_starter(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def start(function: Any, *arguments: Any, **options: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__")
            if not callable(function) or package(caller) == "gcctl":
                return original(function, *arguments, **options)
            if package(getattr(function, "__module__", None)) == "gcctl":
                # A thread that has no frame of Python but gcctl's: it is to have none of ours.
                return self._take(original(function, *arguments, **options))

            def run(*its_arguments: Any, **its_options: Any) -> Any:
                self._of_the_program.add(native_id())
                return function(*its_arguments, **its_options)

            return original(run, *arguments, **options)

        return start

    def _take(self, thread: int) -> int:
        self._by_python_s_number.add(thread)
        return thread

    def _is_of_the_program(self) -> bool:
        mine = native_id()
        # The second is for a child that a fork without hooks has made.
        if mine in self._of_the_program or mine == os.getpid():
            return True
        return get_ident() in self._by_python_s_number

    def _before_fork(self) -> None:
        self._forks_in_one = self._is_of_the_program()

    def _after_fork(self) -> None:
        self._of_the_program = {native_id()} if self._forks_in_one else set()
        self.seen = []


def elsewhere(itself: object) -> str:
    """What to say of a finalizer, in the thread that runs it."""
    import traceback

    thread = f"thread {native_id()}"
    known = getattr(sys.modules.get("threading"), "_active", {}).get(get_ident())
    if known is not None:
        thread += f" ({known.name})"
    stack = "".join(traceback.format_stack(sys._getframe(2)))
    return f"a finalizer of {type(itself)} ran in {thread}, {ELSEWHERE}:\n{stack}"


WATCH = FinalizerThreads()
