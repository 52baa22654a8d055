"""The allocator that keeps freed memory, by what is mapped into the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcctl._memory.allocator import other_allocator

LINE = "7f0000000000-7f0000001000 r-xp 00000000 08:01 123        /usr/lib/x86_64-linux-gnu/{}\n"


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("libjemalloc.so.2", "jemalloc"),
        ("libtcmalloc_minimal.so.4", "tcmalloc"),
        ("libmimalloc-secure.so.2.1", "mimalloc"),
        ("libc.so.6", ""),
        ("jemalloc-notes.txt", ""),
    ],
)
def test_by_its_library(library: str, name: str, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(LINE.format("libm.so.6") + "7ffd00000000 rw-p [heap]\n" + LINE.format(library))
    assert other_allocator(str(maps), {}) == name


def test_cpython_s_own_mimalloc() -> None:
    assert other_allocator("/nowhere", {"PYTHONMALLOC": "mimalloc"}) == "mimalloc"
    assert other_allocator("/nowhere", {"PYTHONMALLOC": "pymalloc"}) == ""


def test_this_process_has_libc_s_own() -> None:
    assert other_allocator() == ""
