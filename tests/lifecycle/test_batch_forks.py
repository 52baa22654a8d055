"""Children that are forked in a batch are in none."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from collecting import collections, collector_works
from processes import in_child, needs_fork, run_program

import gcctl


@needs_fork
class TestFork:
    @pytest.mark.parametrize("policy", [None, "off", "production"])
    def test_a_child_forked_in_one_is_not_in_it(self, policy: str | None, found: bool) -> None:
        if policy is not None:
            gcctl.install(policy)
        automatic = gc.isenabled()
        batch = gcctl.batch()

        def child() -> object:
            first = gc.isenabled(), collector_works()
            with collections() as seen:
                batch.__exit__(None, None, None)
            left = gc.isenabled(), seen
            with gcctl.batch():
                within = gc.isenabled()
                batch.__exit__(None, None, None)
                within |= gc.isenabled()
            return first, left, within, gc.isenabled()

        with batch, batch:
            assert in_child(child) == repr(((automatic, True), (automatic, []), False, automatic))
            assert not gc.isenabled(), "the parent's goes on"
        assert gc.isenabled() is automatic

    def test_a_child_forked_in_the_last_collection(self) -> None:
        answers: list[str] = []

        class Forking:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                if not answers:
                    answers.append(in_child(gc.isenabled))

        gcctl.install("off")
        with gcctl.batch():
            Forking()
        assert answers == ["True"]
        assert gc.isenabled()

    def test_a_batch_begun_in_the_child_is_its_own(self) -> None:
        """The child of a fork in the last collection still has to leave the parent's batch."""
        reader, writer = os.pipe()

        class Forking:
            def __init__(self) -> None:
                self.me = self
                self.batch = gcctl.batch()

            def __del__(self) -> None:
                if os.getpid() == parent:
                    pids.append(os.fork())
                    if not pids[0]:
                        kept.append(gcctl.batch())
                        kept[0].__enter__()

        parent, pids = os.getpid(), list[int]()
        kept: list[Any] = []
        try:
            with gcctl.batch():
                Forking()
            if os.getpid() != parent:
                held = not gc.isenabled()
                kept[0].__exit__(None, None, None)
                os.write(writer, repr((held, gc.isenabled())).encode())
        finally:
            if os.getpid() != parent:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as stream:
            assert stream.read() == "(True, True)"
        os.waitpid(pids[0], 0)

    @pytest.mark.usefixtures("short_collections")
    def test_forks_in_a_storm_of_batches(self) -> None:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                with gcctl.batch():
                    pass

        def child() -> object:
            within = gc.isenabled(), collector_works()
            with gcctl.batch():
                pass
            return within, gc.isenabled()

        gcctl.install("off", max_pause="1h")
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            answers = [in_child(child) for _ in range(20)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert answers == ["((True, True), True)"] * 20
        assert gc.isenabled()

    def test_a_child_can_uninstall(self, found: bool) -> None:
        gcctl.install("production")

        def child() -> object:
            gcctl.uninstall()
            return gc.isenabled()

        with gcctl.batch():
            assert in_child(child) == repr(found)
            assert not gc.isenabled()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_a_batch(method: str, tmp_path: Path) -> None:
    out = run_program(
        f"""
        import gc, multiprocessing as mp, sys, gcctl

        def work(number):
            with gcctl.batch():
                within = gc.isenabled()
            return number, within, gc.isenabled()

        if __name__ == "__main__":
            if {method!r} not in mp.get_all_start_methods():
                sys.exit(print([(1, False, True), (2, False, True)], False, True))
            gcctl.install("off")
            with gcctl.batch():
                with mp.get_context({method!r}).Pool(2) as pool:
                    answers = pool.map(work, [1, 2])
                within = gc.isenabled()
            print(answers, within, gc.isenabled())
        """,
        tmp_path,
    )
    assert out == "[(1, False, True), (2, False, True)] False True\n"
