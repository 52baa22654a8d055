"""What is put right in a forked child: one list, for all parts of gcctl.

`os.fork()` runs hooks. A fork by C code may run none, as in uWSGI and in programs that embed
Python. There the core finds out, at the first boundary or when gcctl is first called. Whoever comes
first has all steps run, in the order of this list. Each runs once in each child.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from gcctl._base import log
from gcctl._base.late import importing
from gcctl._process.twins import core, memory

_steps: list[Callable[[], object]] = [importing.after_fork, core.after_fork, memory.after_fork]

_hooked = False


def in_child(step: Callable[[], object]) -> None:
    """Have `step()` called in each forked child, after the steps that are in the list already."""
    global _hooked
    _steps.append(step)
    # Not as soon as gcctl is imported. Hooks run in the order in which they were registered. So the
    # locks of modules like `logging` are free again when finalizers run in one of the steps. And
    # counting alone needs no hook.
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked = True
        os.register_at_fork(after_in_child=core.notice_fork)


def _put_right() -> None:
    """Every step, even where another one raises."""
    raised: BaseException | None = None
    for step in tuple(_steps):
        try:
            step()
        except Exception:
            with suppress(Exception):  # a broken logging setup must not break the request
                log.exception("a part of gcctl has not followed a fork")
        except BaseException as error:  # raised by a signal handler
            raised = error
    if raised is not None:
        raise raised


core.follow_forks(_put_right)
