"""A progress bar on a terminal."""

from __future__ import annotations

import shutil
from typing import TextIO

WIDTH = 40


class Progress:
    """Redraws one line of `stream`; writes nothing where that is no terminal."""

    def __init__(self, stream: TextIO | None, total: int) -> None:
        self._stream = stream
        self._total = total
        self._visible = stream is not None and stream.isatty()

    def show(self, done: int, what: str) -> None:
        filled = WIDTH * done // self._total
        bar = "#" * filled + "-" * (WIDTH - filled)
        self._write(f"[{bar}] {100 * done // self._total:3} %  {what}")

    def clear(self) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if self._visible and self._stream is not None:
            columns = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{line[:columns]:<{columns}}\r{line[:columns]}")
            self._stream.flush()
