"""The thread that does what boundaries do while none comes."""

from __future__ import annotations

from processes import wait_until

from gcctl._auto.checks import IdleThread
from gcctl._base.log import log_fault


def test_a_boundary_that_found_the_thread_still_there_is_not_forgotten() -> None:
    boundaries, calls = 0, 0

    def work() -> None:
        nonlocal boundaries, calls
        calls += 1
        if calls == 1:
            boundaries += 1
            thread.stand_by()

    thread = IdleThread(work, lambda: boundaries, log_fault)
    thread.stand_by()
    wait_until(lambda: calls == 2)
    thread.stop()
