"""Batches and installations of a controller that overlap in any way."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from collecting import collections, requested
from processes import run_program

import gcctl
from gcctl._interpreter.settings import Settings

AUTOMATIC = [None, False, True]


@pytest.mark.parametrize("automatic", AUTOMATIC)
class TestWithControllers:
    def test_a_batch_under_one(self, found: bool, automatic: bool | None) -> None:
        with gcctl.install("off", automatic_gc=automatic):
            wanted = found if automatic is None else automatic
            with gcctl.batch():
                assert not gc.isenabled()
            assert gc.isenabled() is wanted
            assert requested() == 1
        assert gc.isenabled() is found

    def test_installed_and_uninstalled_in_a_batch(
        self, found: bool, automatic: bool | None
    ) -> None:
        with collections() as seen, gcctl.batch():
            with gcctl.install("off", automatic_gc=automatic):
                assert not gc.isenabled()
            assert not gc.isenabled()
            del seen[:]
        assert gc.isenabled() is found
        assert seen == [2]

    def test_installed_in_a_batch_and_uninstalled_after_it(
        self, found: bool, automatic: bool | None
    ) -> None:
        with gcctl.batch():
            gcctl.install("off", automatic_gc=automatic)
            assert not gc.isenabled()
        assert gc.isenabled() is (found if automatic is None else automatic)
        assert requested() == 1
        gcctl.uninstall()
        assert gc.isenabled() is found

    def test_uninstalling_ends_the_batches_begun_since(
        self, found: bool, automatic: bool | None
    ) -> None:
        before = Settings.current()
        gcctl.install("off", automatic_gc=automatic)
        batch = gcctl.batch()
        with batch, batch, gcctl.batch():
            gcctl.uninstall()
            assert gc.isenabled() is found
            assert Settings.current() == before
            with gcctl.batch():  # leaving the old ones does not end a new one
                batch.__exit__(None, None, None)
                assert not gc.isenabled()
            with collections() as seen:
                batch.__exit__(None, None, None)
            assert seen == []
        assert gc.isenabled() is found

    def test_uninstalling_ends_those_only(self, found: bool, automatic: bool | None) -> None:
        older, younger = gcctl.batch(), gcctl.batch()
        older.__enter__()
        gcctl.install("off", automatic_gc=automatic)
        younger.__enter__()
        older.__exit__(None, None, None)
        assert not gc.isenabled()
        gcctl.uninstall()
        assert gc.isenabled() is found
        younger.__exit__(None, None, None)
        assert gc.isenabled() is found

    def test_one_object_entered_before_and_after(self, found: bool, automatic: bool | None) -> None:
        batch = gcctl.batch()
        with batch:
            gcctl.install("off", automatic_gc=automatic)
            with batch:
                gcctl.uninstall()
                assert not gc.isenabled(), "the one from before goes on"
            with collections() as seen:
                pass
            assert seen == []
            assert not gc.isenabled()
        assert gc.isenabled() is found

    def test_a_batch_across_two_installations(self, found: bool, automatic: bool | None) -> None:
        with gcctl.install("off", automatic_gc=automatic):
            batch = gcctl.batch()
            batch.__enter__()
        with gcctl.install("off", automatic_gc=automatic), gcctl.batch():
            batch.__exit__(None, None, None)
            assert not gc.isenabled()
            assert requested() == 0
        assert gc.isenabled() is found


class TestFailingInstall:
    def test_leaves_the_batch_that_it_was_in(
        self, monkeypatch: pytest.MonkeyPatch, found: bool
    ) -> None:
        gcctl.install("off")
        gcctl.uninstall()

        def broken(*args: object) -> None:
            raise RuntimeError("broken")

        with collections() as seen, gcctl.batch():
            with monkeypatch.context() as patch:
                patch.setattr(gc, "set_threshold", broken)
                with pytest.raises(RuntimeError, match="broken"):
                    gcctl.install("instagram")
            assert not gc.isenabled()
            with pytest.raises(gcctl.ConfigError):
                gcctl.install("instagrm")
            assert not gc.isenabled()
        assert seen == [2]
        assert gc.isenabled() is found

    def test_a_second_install_does_not_make_the_batches_older(self, found: bool) -> None:
        gcctl.install("off")
        with gcctl.batch():
            with pytest.raises(gcctl.GcctlError, match="already installed"):
                gcctl.install("off")
            gcctl.uninstall()
            assert gc.isenabled() is found


def test_a_batch_that_uninstalling_ends_is_collected_before_automatic_gc_returns(
    tmp_path: Path,
) -> None:
    """Else the first allocations after it would stop for all that the batch has built."""
    out = run_program(
        """
        import gc, gcctl
        gcctl.install("off")
        batch = gcctl.batch()
        with batch:
            kept: list[object] = [[] for _ in range(100_000)]
            seen = []
            gc.callbacks.append(lambda phase, info: seen.append((phase, gc.isenabled())))
            gcctl.uninstall()
            print(seen[0])
        """,
        tmp_path,
    )
    assert out == "('start', False)\n"
