"""The pure-Python twin of csrc/core/fork_page.c: a mark that a forked child does not have."""

from __future__ import annotations

from os import getpid
from typing import Protocol

MADV_WIPEONFORK = 18
"""Linux 4.14 and later. The module `mmap` has no name for it."""


class ForkMark(Protocol):
    """`mark[0]` is 1 in the process that has set it to 1, and 0 in a child of that process."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class _ProcessID:
    """For systems whose kernel clears nothing: a system call each time."""

    _marked = 0

    def __getitem__(self, index: int, /) -> int:
        return getpid() == self._marked

    def __setitem__(self, index: int, value: int, /) -> None:
        self._marked = getpid()


def fork_mark() -> ForkMark:
    """A mark that is set."""
    mark: ForkMark
    try:
        import mmap

        mark = page = mmap.mmap(-1, 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(MADV_WIPEONFORK)
    except (ImportError, AttributeError, TypeError, ValueError, OSError):
        mark = _ProcessID()
    mark[0] = 1
    return mark
