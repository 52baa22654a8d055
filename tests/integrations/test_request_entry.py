"""The entry that servers and frameworks share, and the error for those that are missing."""

from __future__ import annotations

import asyncio
import gc
import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from processes import in_child, needs_fork
from web_servers import examples

import gcctl
from gcctl._base.extras import require
from gcctl.integrations.request_entry import (
    MARK,
    begin,
    enter,
    enter_server,
    leave_server,
    note_failure,
)


@pytest.fixture
def installed(no_collection_by_itself: None) -> None:
    gcctl.install("off")


def counts() -> tuple[int, int, int]:
    stats = gcctl.stats()
    return stats.requests, stats.failures, stats.in_flight


@pytest.mark.usefixtures("installed")
class TestEntry:
    def test_is_one_request(self) -> None:
        environ: dict[str, Any] = {}
        entry = enter(environ)
        assert entry is not None
        assert environ[MARK] is entry
        assert not entry.left
        assert counts() == (0, 0, 1)
        entry.leave()
        assert entry.left
        assert counts() == (1, 0, 0)

    def test_is_left_once(self) -> None:
        outer, inner = begin(), begin()
        for _ in range(3):
            inner.leave(ValueError())
        assert counts() == (1, 1, 1)
        outer.leave()

    def test_belongs_to_the_outermost(self) -> None:
        environ: dict[str, Any] = {}
        entry = enter(environ)
        assert enter(environ) is None
        assert environ[MARK] is entry
        assert counts() == (0, 0, 1)

    def test_may_have_failed_where_nobody_further_out_sees_it(self) -> None:
        environ: dict[str, Any] = {}
        note_failure(environ, ValueError())  # not one of ours
        entry = enter(environ)
        assert entry is not None
        note_failure(environ, ValueError())
        entry.leave()
        assert counts() == (1, 1, 0)

    @pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, SystemExit])
    def test_has_not_failed_where_it_was_ended_from_outside(
        self, kind: type[BaseException]
    ) -> None:
        noted, told = begin(), begin()
        noted.fail(kind())
        noted.leave()
        told.leave(kind())
        assert counts() == (2, 0, 0)

    def test_keeps_nothing_of_the_exception(self) -> None:
        entry = begin()
        error = ValueError()
        entry.fail(error)
        assert not any(referrer is entry for referrer in gc.get_referrers(error))
        entry.leave()

    def test_that_is_dropped_is_left(self) -> None:
        environ: dict[str, Any] = {}
        enter(environ)
        environ.clear()
        assert counts() == (1, 0, 0)

    def test_tells_the_pauses_inside_it(self) -> None:
        gc.collect()
        before = gcctl.stats().pause_total_ns
        entry = begin()
        assert entry.gc_pause_ns == 0
        gc.collect()
        inside = entry.gc_pause_ns
        assert inside == gcctl.stats().pause_total_ns - before > 0
        gc.collect()
        assert entry.gc_pause_ns > inside
        entry.leave()
        final = entry.gc_pause_ns
        gc.collect()
        assert entry.gc_pause_ns == final > inside

    def test_tells_no_pauses_of_before_an_installation(self) -> None:
        gc.collect()
        entry = begin()
        gcctl.uninstall()
        gcctl.install("off")
        assert entry.gc_pause_ns == 0
        entry.leave()
        assert entry.gc_pause_ns == 0


@needs_fork
@pytest.mark.usefixtures("installed")
class TestForks:
    """What was open is the parent's; the child has counters of its own."""

    @pytest.mark.parametrize("own", [0, 1])
    @pytest.mark.parametrize("end", ["leave", "drop", "fail"])
    def test_what_ends_in_the_child_has_no_boundary_there(self, end: str, own: int) -> None:
        entries = [begin()]

        def child() -> tuple[tuple[int, int, int], int, bool]:
            kept = [begin() for _ in range(own)]
            pause_ns = entries[0].gc_pause_ns
            if end == "drop":
                entries.clear()
            else:
                entries[0].leave(ValueError() if end == "fail" else None)
            unmatched = gcctl.stats().unmatched_exits
            assert pause_ns == 0
            assert not any(entry.left for entry in kept)
            return counts(), unmatched, all(entry.left for entry in entries)

        assert in_child(child) == repr(((0, 0, own), 0, True))
        assert counts() == (0, 0, 1)
        entries[0].leave()
        assert counts() == (1, 0, 0)

    def test_one_of_a_server_hook_is_not_found_in_the_child(self) -> None:
        enter_server()

        def child() -> tuple[bool, tuple[int, int, int]]:
            entry = enter({})
            leave_server()
            return entry is not None, counts()

        assert in_child(child) == repr((True, (0, 0, 1)))
        leave_server()
        assert counts() == (1, 0, 0)


def test_the_boundary_is_not_inside_the_request() -> None:
    gcctl.install("production")
    entry = begin()
    entry.leave()
    assert gcctl.stats().collections == 1
    assert entry.gc_pause_ns == 0


def test_without_install_nothing_happens() -> None:
    environ: dict[str, Any] = {}
    entry = enter(environ)
    assert entry is not None
    gc.collect()
    assert entry.gc_pause_ns == 0
    entry.leave(ValueError())
    enter_server()
    leave_server()
    assert counts() == (0, 0, 0)


def test_a_request_under_way_at_install_is_counted_when_it_ends() -> None:
    entry = begin()
    gcctl.install("off")
    entry.leave()
    assert counts() == (1, 0, 0)


@pytest.mark.usefixtures("installed")
class TestServerHooks:
    def test_begin_a_request_that_a_middleware_finds(self) -> None:
        enter_server()
        environ: dict[str, Any] = {}
        assert enter(environ) is None
        assert not environ[MARK].left
        assert counts() == (0, 0, 1)
        leave_server()
        assert counts() == (1, 0, 0)
        assert environ[MARK].left

    def test_are_of_one_thread(self) -> None:
        with ThreadPoolExecutor(1) as server:
            server.submit(enter_server).result()
            entry = enter({})
            assert entry is not None
            assert server.submit(enter, {}).result() is None
            server.submit(leave_server).result()
        assert counts() == (1, 0, 1)
        entry.leave()

    def test_may_not_be_told_of_the_end(self) -> None:
        enter_server()
        enter_server()
        assert counts() == (1, 0, 1)
        leave_server(ValueError())
        leave_server()
        assert counts() == (2, 1, 0)


def test_the_example_of_the_overview_runs() -> None:
    names: dict[str, Any] = {}
    exec(examples("README.md")[0], names)
    environ: dict[str, Any] = {}
    assert names["gc_pause_ns"](environ) == 0
    enter(environ)
    assert names["gc_pause_ns"](environ) == 0


class TestRequire:
    def test_takes_what_is_new_enough(self) -> None:
        require("pytest", "8", extra="x")
        require("psutil", "5.9.0", extra="x")

    def test_names_what_was_found_and_the_extra(self) -> None:
        with pytest.raises(
            ImportError,
            match=r"test_request_entry needs pytest 1000\.1 or newer "
            r"\(found [0-9.]+\): pip install 'gcctl\[celery\]'",
        ):
            require("pytest", "1000.1", extra="celery")

    @pytest.mark.parametrize("module", ["frozen_framework.py", "frozen/framework.py"])
    def test_takes_what_can_be_imported_and_has_no_version(
        self, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in a program that was frozen."""
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).touch()
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        require("frozen-framework", "1", extra="x")

    def test_or_that_nothing_was(self) -> None:
        with pytest.raises(ImportError, match=r"\(not installed\).*'gcctl\[x\]'"):
            require("no-such-distribution", "1", extra="x")
