"""Under gevent, where what looks like a thread is a greenlet."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run_program

from gcctl._interpreter.asking import asks

pytest.importorskip("gevent", reason="gevent is not installed")


@needs_fork
def test_a_fork_does_not_wait_for_a_thread_that_never_was(tmp_path: Path) -> None:
    out = run_program(
        """
        from gevent import monkey

        monkey.patch_all()

        import os
        import time

        import gcctl

        gcctl.install(check_interval="1ms")
        with gcctl.hold("1h"):
            for _ in range(5):
                gcctl.tick()
                time.sleep(0.01)
            before = time.monotonic()
            pid = os.fork()
            if not pid:
                os._exit(0)
            print(os.waitpid(pid, 0)[1], time.monotonic() - before < 30)
        gcctl.uninstall()
        """,
        tmp_path,
    )
    assert out == "0 True\n"


@pytest.mark.skipif(not asks(), reason="a thread in place of asking is a greenlet here")
def test_a_section_that_never_yields_ends_at_its_deadline(tmp_path: Path) -> None:
    out = run_program(
        """
        from gevent import monkey

        monkey.patch_all()

        import gc
        from time import monotonic

        import gcctl

        with gcctl.hold("20ms"):
            until = monotonic() + 60
            while not gc.isenabled() and monotonic() < until:
                pass
            print(gc.isenabled())
        """,
        tmp_path,
    )
    assert out == "True\n"
