"""Reading memory through descriptors kept open, and giving it back: both twins."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_hog import block
from processes import in_child

from gcctl._memory import pure
from gcctl._memory.protocol import MAX_THRESHOLDS, Memory, Threshold

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads files of Linux")

MEMINFO = "MemTotal:    1000 kB\nMemFree:      10 kB\nMemAvailable:  400 kB\nBuffers: 5 kB\n"
"""600 KiB are used."""


def number(path: Path, above_bytes: int) -> Threshold:
    return Threshold("number", str(path), above_bytes)


def descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the one that listed them
            continue
    return found


class TestResidentSet:
    def test_agrees_with_psutil(self, memory: Memory) -> None:
        expected = psutil.Process().memory_info().rss
        assert memory.rss() == pytest.approx(expected, rel=0.05)

    def test_grows_and_shrinks_with_what_is_allocated(self, memory: Memory) -> None:
        gc.collect()  # what other tests have left
        before = memory.rss()
        taken = block(64)
        full = memory.rss()
        taken.close()
        empty = memory.rss()
        assert full - before == pytest.approx(64 * 2**20, abs=8 * 2**20)
        assert full - empty == pytest.approx(64 * 2**20, abs=8 * 2**20)

    @linux
    def test_survives_that_all_descriptors_are_closed(self, memory: Memory) -> None:
        pid = os.fork()
        if pid == 0:  # as a daemon does
            fine = False
            with suppress(BaseException):
                expected = memory.rss()
                os.closerange(3, 100)
                theirs = os.memfd_create("numbers")  # may get the number of ours
                os.write(theirs, b"10 2000000 30\n")
                fine = abs(memory.rss() - expected) < 2**22
                memory.close()
                os.read(theirs, 10)
            os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    @linux
    def test_is_the_childs_own_after_a_fork(self, memory: Memory) -> None:
        memory.rss()

        def child() -> bool:
            memory.after_fork()
            before = memory.rss()
            with block(64):
                return memory.rss() - before > 56 * 2**20

        assert in_child(child) == "True"

    @linux
    def test_close_leaves_no_descriptor_and_it_can_be_read_again(self, memory: Memory) -> None:
        before = descriptors()
        assert memory.rss() > 0
        assert any("statm" in name for name in descriptors() - before)
        memory.close()
        assert descriptors() == before
        assert memory.rss() > 0

    @linux
    def test_close_does_not_close_what_is_no_longer_ours(
        self, memory: Memory, tmp_path: Path
    ) -> None:
        memory.rss()
        (ours,) = (
            int(name)
            for name in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{name}")
            and "statm" in os.readlink(f"/proc/self/fd/{name}")
        )
        with (tmp_path / "theirs").open("w+") as theirs:
            os.dup2(theirs.fileno(), ours)
            memory.close()
            os.fstat(ours)
            os.close(ours)


class TestWatching:
    def test_nothing_is_over_when_nothing_is_watched(self, memory: Memory) -> None:
        assert not memory.over()

    def test_own_resident_set(self, memory: Memory) -> None:
        memory.watch([Threshold("rss", "", 2**50)])
        assert not memory.over()
        memory.watch([Threshold("rss", "", 2**20)])
        assert memory.over()

    @linux
    def test_a_number_in_a_file(self, memory: Memory, tmp_path: Path) -> None:
        file = tmp_path / "memory.current"
        file.write_text("1000\n")
        memory.watch([number(file, 1000)])
        assert not memory.over(), "only above"
        with file.open("r+") as same:
            same.write("1001\n")
        assert memory.over()

    @linux
    def test_used_memory_of_the_machine(self, memory: Memory, tmp_path: Path) -> None:
        file = tmp_path / "meminfo"
        file.write_text(MEMINFO)
        memory.watch([Threshold("meminfo", str(file), 600 * 1024)])
        assert not memory.over()
        memory.watch([Threshold("meminfo", str(file), 600 * 1024 - 1)])
        assert memory.over()

    @linux
    def test_any_of_several(self, memory: Memory, tmp_path: Path) -> None:
        files = [tmp_path / str(n) for n in range(MAX_THRESHOLDS)]
        for file in files:
            file.write_text("5")
        memory.watch([number(file, 5) for file in files])
        assert not memory.over()
        files[-1].write_text("6")
        assert memory.over()

    def test_too_many_are_refused(self, memory: Memory) -> None:
        with pytest.raises(ValueError, match="at most 16"):
            memory.watch([Threshold("rss", "", 1)] * (MAX_THRESHOLDS + 1))

    @linux
    @pytest.mark.parametrize(
        "text", ["", "max\n", "-5\n", "five", "5 apples", "9" * 40, "\0", "12\r\n"]
    )
    def test_what_cannot_be_read_counts_as_over(
        self, memory: Memory, tmp_path: Path, text: str
    ) -> None:
        file = tmp_path / "memory.current"
        file.write_text(text)
        for kind in ("number", "meminfo"):
            memory.watch([Threshold(kind, str(file), 2**50)])
            assert memory.over()

    def test_a_file_that_is_not_there_counts_as_over(self, memory: Memory, tmp_path: Path) -> None:
        memory.watch([number(tmp_path / "none", 2**50)])
        assert memory.over()

    @linux
    def test_closed_it_counts_as_over_until_it_is_watched_anew(
        self, memory: Memory, tmp_path: Path
    ) -> None:
        file = tmp_path / "memory.current"
        file.write_text("1")
        for _ in range(2):
            memory.watch([number(file, 5)])
            assert not memory.over()
            memory.close()
            assert memory.over()

    @linux
    def test_watching_anew_closes_what_was_open(self, memory: Memory, tmp_path: Path) -> None:
        file = tmp_path / "memory.current"
        file.write_text("1")
        before = descriptors()
        for _ in range(3):
            memory.watch([number(file, 5)])
        memory.watch([])
        assert descriptors() == before


words = st.sampled_from(
    [
        "MemTotal:",
        "MemAvailable:",
        " ",
        "\n",
        "\0",
        "0",
        "5",
        "9" * 15,
        "1" + "0" * 15,
        "kB",
        "x",
        "-",
    ]
)


@linux
@given(text=st.one_of(st.text(max_size=300), st.lists(words, max_size=12).map("".join)))
def test_twins_read_the_same_from_any_text(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    core = pytest.importorskip(
        "gcctl._memory.compiled", reason="the compiled core is not installed"
    )
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    twins = [core.Memory(), pure.Memory()]
    for kind in ("number", "meminfo"):
        for above in (0, 10, 2**40):
            answers = []
            for twin in twins:
                twin.watch([Threshold(kind, str(file), above)])
                answers.append(twin.over())
            assert answers[0] == answers[1], (kind, above)
    for twin in twins:
        twin.close()


@linux
def test_freed_memory_goes_back_to_the_system(memory: Memory) -> None:
    import platform

    if platform.libc_ver()[0] != "glibc":
        assert not memory.trim()
        return
    # Freed but for one block in a hundred: they keep the heap from shrinking by itself.
    blocks = [bytearray(1000) for _ in range(100_000)]
    kept = blocks[::100]
    del blocks
    before = memory.rss()
    assert memory.trim()
    assert before - memory.rss() > 50 * 2**20
    assert len(kept) == 1000
