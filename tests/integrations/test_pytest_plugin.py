"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import gc
import pytest
import gcctl

class Node:
    def __init__(self):
        self.me = self

@pytest.mark.parametrize("number", range(6))
def test_garbage(number):
    before = gcctl.stats()
    for _ in range(2000):
        Node()
    assert before.in_flight == gcctl.stats().in_flight == {in_flight}

def test_collects():
    gc.collect()
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(SUITE.format(in_flight=1))
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def run(suite: pytest.Pytester, *options: str, passed: int = 7) -> str:
    others = ["-p", "no:hypothesispytest"] + ["-p", "no:xdist"] * ("-n" not in options)
    result = suite.runpytest_subprocess(*others, *options)
    result.assert_outcomes(passed=passed)
    assert result.ret == 0
    return result.stdout.str()


def report(out: str) -> str:
    """What comes after the plugin's headline."""
    return re.split(r"=+ gcctl: policy (\w+) =+\n", out)[2]


def number(pattern: str, out: str) -> int:
    found = re.search(pattern, out)
    assert found, out
    return int(found[1].replace(",", ""))


def test_each_test_is_a_request_and_the_end_reports(suite: pytest.Pytester) -> None:
    out = run(suite, "--gcctl")
    assert "gcctl: policy auto" in out
    assert number(r"went into ([\d,]+) collections", out) >= 1
    assert "inside one of the 7 tests" in out
    assert "time saved: unknown" in out


def test_a_schedule_counts_tests(suite: pytest.Pytester) -> None:
    out = run(suite, "--gcctl-policy=production")
    # 7 boundaries, the collection of a test, and the final one.
    assert "went into 9 collections (7, 0 and 2 of generations 0, 1 and 2)" in report(out)


def test_pauses_inside_tests_are_told_apart(suite: pytest.Pytester) -> None:
    out = run(suite, "--gcctl-policy=production")
    assert "\n0 ns of it was inside one of the 7 tests" not in out
    out = run(suite, "--gcctl-policy=production", "-k", "garbage", passed=6)
    assert "\n0 ns of it was inside one of the 6 tests" in out


def test_time_saved_is_what_automatic_gc_took_before_over_the_same_tests(
    suite: pytest.Pytester,
) -> None:
    assert "kept for comparison" in run(suite, "--gcctl-policy=off")
    out = run(suite, "--gcctl")
    assert re.search(r"time saved: -?[\d.]+ \S+ in pauses; automatic GC took ", out)
    assert "time saved: unknown" in run(suite, "--gcctl", "-k", "garbage", passed=6)


def test_measurements_kept_are_few(suite: pytest.Pytester) -> None:
    cache = Path(suite.path, ".pytest_cache", "v", "gcctl", "baselines")
    run(suite, "--gcctl-policy=off")
    kept = json.loads(cache.read_text())
    cache.write_text(json.dumps({f"other {n}": next(iter(kept.values())) for n in range(20)}))
    run(suite, "--gcctl-policy=off")
    names = list(json.loads(cache.read_text()))
    assert len(names) == 8
    assert names[-1] in kept


@pytest.mark.parametrize(
    "bad",
    [
        "all",
        pytest.param("one", marks=pytest.mark.slow),
        pytest.param("numbers", marks=pytest.mark.slow),
    ],
)
def test_what_is_no_measurement_is_as_good_as_none(suite: pytest.Pytester, bad: str) -> None:
    cache = Path(suite.path, ".pytest_cache", "v", "gcctl", "baselines")
    run(suite, "--gcctl-policy=off")
    (key,) = json.loads(cache.read_text())
    contents = {"all": [1], "one": {key: [1, 2]}, "numbers": {key: ["1", 2, None, 3]}}
    cache.write_text(json.dumps(contents[bad]))
    assert "time saved: unknown" in run(suite, "--gcctl")
    run(suite, "--gcctl-policy=off")
    assert "automatic GC took" in run(suite, "--gcctl")


def test_without_cache_it_reports_all_the_same(suite: pytest.Pytester) -> None:
    out = run(suite, "--gcctl-policy=off", "-p", "no:cacheprovider")
    assert "gcctl: policy off" in out


def test_without_the_option_gcctl_is_not_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_it():
            assert "_gcctl_pytest" in sys.modules
            assert not [name for name in sys.modules if name.partition(".")[0] == "gcctl"]
        """
    )
    out = run(pytester, passed=1)
    assert "gcctl: policy" not in out


def test_workers_of_xdist_are_reported_together(suite: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    run(suite, "--gcctl-policy=off", "-n", "2")
    out = run(suite, "--gcctl-policy=production", "-n", "2")
    # Each worker has a final collection.
    assert "went into 10 collections (7, 0 and 3 of generations 0, 1 and 2)" in report(out)
    assert "inside one of the 7 tests" in out
    assert "automatic GC took" in out


def test_a_worker_that_crashes_is_named(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile("import os\ndef test_it():\n    os._exit(1)\n")
    result = pytester.runpytest_subprocess("--gcctl", "-n", "1", "--max-worker-restart=0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*gcctl: policy auto*", "not installed in any process*"])


def test_failing_tests_and_fixtures_fail_as_ever(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.fixture
        def broken():
            yield
            raise RuntimeError("in the fixture")
        def test_fails():
            assert 1 == 2
        def test_errors(broken):
            pass
        def test_skips():
            pytest.skip("not today")
        """
    )
    result = pytester.runpytest_subprocess("--gcctl")
    result.assert_outcomes(failed=1, passed=1, errors=1, skipped=1)
    assert "inside one of the 3 tests" in result.stdout.str()


def test_an_interrupted_run_is_reported_and_not_kept(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_last="def test_it():\n    raise KeyboardInterrupt\n")
    result = suite.runpytest_subprocess("--gcctl-policy=off")
    assert result.ret == 2
    assert "gcctl: policy off" in result.stdout.str()
    assert not Path(suite.path, ".pytest_cache", "v", "gcctl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gcctl-policy=fastest"], "--gcctl: policy: 'fastest'"),
        (["--gcctl", "-p", "already"], "--gcctl: gcctl is already installed"),
    ],
    ids=["no such policy", "installed already"],
)
def test_what_cannot_be_done_is_a_usage_error(
    suite: pytest.Pytester, options: list[str], message: str
) -> None:
    suite.makepyfile(already="import gcctl\ngcctl.install('off')\n")
    suite.syspathinsert()
    result = suite.runpytest_subprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


def test_a_session_that_does_not_begin_leaves_nothing_installed(suite: pytest.Pytester) -> None:
    program = suite.makepyfile(
        program="""
        import gcctl
        import pytest

        class Broken:
            @pytest.hookimpl(trylast=True)
            def pytest_sessionstart(self):
                raise pytest.UsageError("not today")

        others = ["-p", "no:hypothesispytest", "-p", "no:xdist"]
        pytest.main(["--gcctl", *others], plugins=[Broken()])
        print("installed:", gcctl.stats().policy)
        """
    )
    suite.runpython(program).stdout.fnmatch_lines(["installed: None"])


def test_gcctl_disable_switches_it_off(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(SUITE.format(in_flight=0))
    monkeypatch.setenv("GCCTL_DISABLE", "1")
    assert "not installed in any process" in run(suite, "--gcctl")


def test_gcctl_may_be_imported_before_pytest(suite: pytest.Pytester) -> None:
    """Which pytest has a warning for, and the suite makes errors of warnings."""
    # Hypothesis warns of a random generator that nobody refers to, and asks gc.get_referrers() for
    # that, which leaves tenured objects out.
    without = ["-p", "no:hypothesispytest"]
    command = [sys.executable, "-m", "gcctl", "run", "-m", "pytest", *without, "-k", "collects"]
    result = suite.run(*command)
    assert result.ret == 0
    result.assert_outcomes(passed=1, deselected=6)


def test_off_changes_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import _thread, gc
        def state():
            return (gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count(),
                    _thread._count())
        BEFORE = state()
        """
    )
    pytester.makepyfile(
        """
        import pytest
        from conftest import BEFORE, state
        @pytest.mark.parametrize("number", range(5))
        def test_state(number):
            kept = [[] for _ in range(10_000)]
            assert state() == BEFORE
        def test_installed():
            import gcctl
            assert gcctl.stats().policy == "off"
        """
    )
    assert "policy off" in run(pytester, "--gcctl-policy=off", passed=6)
