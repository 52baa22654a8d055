"""A progress bar on a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TextIO

WIDTH = 40

Show = Callable[[int, int, str], None]
"""Takes how much is done, out of how much, and what is at work now."""


class Progress:
    """Redraws one line of `stream`; writes nothing where that is no terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._visible = stream is not None and stream.isatty()

    def show(self, done: int, total: int, what: str) -> None:
        filled = WIDTH * done // total
        bar = "#" * filled + "-" * (WIDTH - filled)
        self._write(f"[{bar}] {100 * done // total:3} %  {what}")

    def clear(self) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if self._visible and self._stream is not None:
            columns = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{line[:columns]:<{columns}}\r{line[:columns]}")
            self._stream.flush()
