"""The pure-Python twin of `gcctl._memory.compiled`: the same answers, no compiler."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from gcctl._memory.protocol import MAX_THRESHOLDS, Threshold

TEXT_SIZE = 255
"""Bytes read of each file: the numbers stand at its beginning, in /proc/meminfo too."""

STATM = re.compile(rb"[0-9]{1,14} ([0-9]{1,14})(?: [0-9]{1,14}){5}\n")
NUMBER = re.compile(rb" *([0-9]{1,14})(?:\n|\Z)")
VALUE = re.compile(rb" *([0-9]{1,14})(?![0-9])")


class UsageFile:
    """A number of bytes in a file, read through one descriptor that is kept open."""

    def __init__(self, path: str, kind: Literal["statm", "number", "meminfo"]) -> None:
        self.source = kind, path
        self._fd = -1
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        with suppress(OSError):
            fd = os.open(self.source[1], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            identity = _identity(fd)
            if self._fd < 0:  # with the next line one step
                self._fd, self._identity = fd, identity
                return
            os.close(fd)  # another thread was quicker

    def close(self) -> None:
        """Leave the descriptor alone if it is not ours any more."""
        fd, self._fd = self._fd, -1
        with suppress(OSError):
            if fd >= 0 and _identity(fd) == self._identity:
                os.close(fd)

    def read(self) -> int:
        kind = self.source[0]
        try:
            text = os.pread(self._fd, TEXT_SIZE, 0).partition(b"\0")[0]
        except (OSError, AttributeError):  # closed; or Windows, which has no pread
            return -1
        if kind == "statm":
            found = STATM.match(text)
            return int(found[1]) * os.sysconf("SC_PAGESIZE") if found else -1
        if kind == "meminfo":
            total, available = _field(text, b"MemTotal:"), _field(text, b"MemAvailable:")
            return (total - available) * 1024 if total >= available >= 0 else -1
        found = NUMBER.match(text)
        return int(found[1]) if found else -1


class Memory:
    def __init__(self) -> None:
        self._own = UsageFile("/proc/self/statm", "statm")
        self._watched: tuple[tuple[Callable[[], int], int], ...] = ()
        self._usage_files: list[UsageFile] = []

    def rss(self) -> int:
        used = self._own.read()
        if used < 0:
            # Not open yet. Or the program has closed all descriptors, and the number of ours may
            # stand for another file now.
            self._own.close()
            self._own.open()
            used = self._own.read()
        return used

    def watch(self, thresholds: Sequence[Threshold]) -> None:
        if len(thresholds) > MAX_THRESHOLDS:
            raise ValueError(
                f"{len(thresholds)} amounts of memory to watch: at most {MAX_THRESHOLDS}"
            )
        files = [
            (threshold.kind, threshold.path) for threshold in thresholds if threshold.kind != "rss"
        ]
        if files != [file.source for file in self._usage_files]:
            self._close_usage_files()
            self._usage_files = [UsageFile(path, kind) for kind, path in files]
        for file in self._usage_files:
            if file.read() < 0:
                file.close()
                file.open()
        reads = iter(self._usage_files)
        self._watched = tuple(
            (self.rss if threshold.kind == "rss" else next(reads).read, threshold.above_bytes)
            for threshold in thresholds
        )

    def over(self) -> bool:
        for read, above_bytes in self._watched:
            used = read()
            if used < 0 or used > above_bytes:
                return True
        return False

    def trim(self) -> bool:
        return _trim()

    def close(self) -> None:
        self._own.close()
        self._close_usage_files()

    def after_fork(self) -> None:
        self._own.close()

    def _close_usage_files(self) -> None:
        for file in self._usage_files:
            file.close()


def _field(text: bytes, name: bytes) -> int:
    """The number after a name of /proc/meminfo; -1 if there is none."""
    found = VALUE.match(text.partition(name)[2])
    return int(found[1]) if found else -1


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _trim() -> bool:
    """By ctypes, which releases the GIL for the call."""
    try:
        import ctypes

        if sys.platform == "win32":
            kernel, everything = ctypes.windll.kernel32, ctypes.c_size_t(-1)
            process = ctypes.c_void_p(kernel.GetCurrentProcess())
            return bool(kernel.SetProcessWorkingSetSize(process, everything, everything))
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    except (ImportError, OSError, AttributeError):  # no ctypes; or a libc without malloc_trim
        return False
    return True
