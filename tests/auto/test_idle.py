"""The thread that does what boundaries do while none comes."""

from __future__ import annotations

from processes import wait_until

from gcctl._auto.idle import IdleThread
from gcctl._base.faults import log_fault


def test_a_boundary_that_found_the_thread_still_there_is_not_forgotten() -> None:
    boundaries, acts = 0, 0

    def act() -> None:
        nonlocal boundaries, acts
        acts += 1
        if acts == 1:
            boundaries += 1
            deputy.stand_by()

    deputy = IdleThread(act, lambda: boundaries, log_fault)
    deputy.stand_by()
    wait_until(lambda: acts == 2)
    deputy.stop()
