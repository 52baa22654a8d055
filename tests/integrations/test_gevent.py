"""Under gevent, where what looks like a thread is a greenlet."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run_program

pytest.importorskip("gevent", reason="gevent is not installed")


@needs_fork
def test_a_fork_does_not_wait_for_a_thread_that_never_was(tmp_path: Path) -> None:
    """To the system the one for idle times is the thread that waits for it to be gone."""
    out = run_program(
        """
        from gevent import monkey

        monkey.patch_all()

        import os
        import time

        import gcctl
        from gcctl._auto import checks

        checks.GONE_SECONDS = 3600.0
        controller = gcctl.install(check_interval="1ms")
        while not controller._parts.auto._idle_thread._native_id:
            gcctl.tick()
            time.sleep(0.01)
        pid = os.fork()
        if not pid:
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        gcctl.uninstall()
        """,
        tmp_path,
    )
    assert out == "0\n"
