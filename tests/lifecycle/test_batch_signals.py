"""Batches that an exception ends anywhere, also where a signal handler raises it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from interruptions import interrupt_everywhere
from processes import run_program

WORK = """
def batch():
    with gcctl.batch():
        pass

def nested():
    with gcctl.batch(), gcctl.batch():
        pass

def loop():
    for _ in gcctl.batched_gc([1, 2, 3], every=2):
        pass
"""


class TestSignals:
    @pytest.mark.parametrize("work", ["batch", "nested", "loop"])
    @pytest.mark.parametrize("policy", [None, "off", "production"])
    def test_one_that_raises_anywhere_leaves_it_as_found(
        self, work: str, policy: str | None, tmp_path: Path
    ) -> None:
        """An exception at each point where CPython looks for signals, one after the other."""
        install = f"gcctl.install({policy!r}, memory_limit=None)" if policy else "gc.enable()"
        points = interrupt_everywhere(
            f"{WORK}\n{install}\nenabled = gc.isenabled()",
            work,
            f"""
            assert gc.isenabled() is enabled, raise_at
            with gcctl.batch():
                assert not gc.isenabled()
            assert gc.isenabled() is enabled, raise_at
            interrupted({work}, 0)
            """,
            tmp_path,
        )
        assert points > 10

    @pytest.mark.skipif(sys.platform == "win32", reason="the flag is looked at otherwise there")
    @pytest.mark.parametrize("enabled", [True, False], ids=["gc on", "gc off"])
    def test_an_interrupt_in_the_last_collection_leaves_it_as_found(
        self, enabled: bool, tmp_path: Path
    ) -> None:
        """Raised where the collection ends: in a finalizer written in Python it would be lost."""
        out = run_program(
            f"""
            import ctypes, gc, signal, weakref, gcctl

            class Node:
                def __init__(self):
                    self.me = self

            signal.signal(signal.SIGINT, signal.default_int_handler)
            interrupt = ctypes.pythonapi.PyErr_SetInterrupt
            interrupt.argtypes, interrupt.restype = [ctypes.py_object], None
            if not {enabled}:
                gc.disable()
            for _ in range(2):
                batch = gcctl.batch()
                try:
                    with batch:
                        kept = weakref.ref(Node(), interrupt)
                except KeyboardInterrupt:
                    print(kept(), gc.isenabled())
                batch.__exit__(None, None, None)
                with gcctl.batch():
                    print(gc.isenabled())
                print(gc.isenabled())
            """,
            tmp_path,
        )
        assert out == f"None {enabled}\nFalse\n{enabled}\n" * 2

    @pytest.mark.skipif(sys.platform == "win32", reason="no interval timers on Windows")
    def test_a_storm_of_interrupts(self, tmp_path: Path) -> None:
        out = run_program(
            """
            import gc, random, signal, gcctl

            class Interrupt(BaseException):
                pass

            def handler(*args):
                raise Interrupt

            signal.signal(signal.SIGALRM, handler)
            with gcctl.batch():
                pass  # imports what it needs
            gc.collect()
            gc.freeze()  # short collections
            wrong = 0
            for _ in range(2000):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
                    while True:
                        with gcctl.batch():
                            pass
                except Interrupt:
                    pass
                wrong += not gc.isenabled()
            print(wrong)
            """,
            tmp_path,
        )
        assert out == "0\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="no interval timers on Windows")
    def test_what_several_in_a_row_have_left_undone_is_done_by_the_next(
        self, tmp_path: Path
    ) -> None:
        out = run_program(
            """
            import gc, signal, gcctl

            class Interrupt(BaseException):
                pass

            def handler(*args):
                if armed:
                    raise Interrupt

            armed = False
            signal.signal(signal.SIGALRM, handler)
            with gcctl.batch():
                pass  # imports what it needs
            gc.collect()
            gc.freeze()  # short collections
            for number in range(2000):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 5e-5, 2e-5)
                    armed = True
                    with gcctl.batch():
                        pass
                    armed = False
                except Interrupt:
                    armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
                if number % 2:
                    with gcctl.batch():
                        assert not gc.isenabled()
                else:
                    gcctl.uninstall()
                assert gc.isenabled(), number
            print("fine")
            """,
            tmp_path,
        )
        assert out == "fine\n"
