"""Mechanisms that reach into CPython: which are there, why others are not, and their switch."""

from __future__ import annotations

import gc
import json
import logging

import pytest
from concurrent_collections import concurrent_only

import gcctl
from gcctl._concurrent.coordinator import coordinator
from gcctl._interpreter import mechanisms
from gcctl._interpreter.mechanisms import MECHANISMS, VARIABLE, in_words, missing, overview
from gcctl._process import twins

OFF = f"switched off by {VARIABLE}"


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("text", ["{}", " {} ", "{},", ",, {} ,,", "{0},{0}"])
def test_each_can_be_switched_off(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text.format(name))
    assert [mechanism for mechanism in MECHANISMS if missing(mechanism) == OFF] == [name]


def test_several_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ",".join(MECHANISMS))
    assert [missing(name) for name in MECHANISMS] == [OFF] * len(MECHANISMS)
    assert in_words(overview(coordinator.missing)) == (
        f"none; without tenure, stand-ins, asking, concurrent: {OFF}"
    )


@pytest.mark.parametrize(
    "value", ["tenured", "tenure concurrent", "tenure,*", "ASKING", "all", "1"]
)
def test_an_unknown_name_is_an_error_of_install(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    wrong = value.split(",")[-1]
    before = gc.isenabled(), gc.get_threshold()
    with pytest.raises(gcctl.ConfigError) as caught:
        gcctl.install()
    assert str(caught.value) == (
        f"{VARIABLE}: {wrong!r} is not accepted; expected names of tenure, stand-ins, asking, "
        "concurrent, with commas between them"
    )
    assert gcctl.stats().policy is None
    assert (gc.isenabled(), gc.get_threshold()) == before
    for name in MECHANISMS:
        missing(name)  # where nobody could be told, nothing is raised


def test_disabled_it_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "nonsense")
    monkeypatch.setenv("GCCTL_DISABLE", "1")
    assert not gcctl.install().installed


def test_nothing_is_switched_off_by_an_empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    with gcctl.install("off"):
        assert OFF not in gcctl.report()


@pytest.mark.skipif(twins.core.implementation == "c", reason="the compiled core has mechanisms")
def test_the_python_twin_has_none() -> None:
    assert {missing(name) for name in MECHANISMS} == {"the compiled core is needed"}
    assert mechanisms.compiled is None


class TestWhatIsSaid:
    def test_in_the_report(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "concurrent")
        with gcctl.install("off"):
            (line,) = (line for line in gcctl.report().splitlines() if "mechanisms" in line)
            said = json.loads(gcctl.report("json"))["environment"]["mechanisms"]
        assert line == f"mechanisms    {in_words(overview(coordinator.missing))}"
        assert f"concurrent: {OFF}" in line
        assert list(said) == list(MECHANISMS)
        assert said == {name: missing(name) or None for name in MECHANISMS}

    def test_in_words(self) -> None:
        there = dict.fromkeys(MECHANISMS, "")
        assert in_words(there) == "tenure, stand-ins, asking, concurrent"
        two = there | {"tenure": "a", "concurrent": "a"}
        assert in_words(two) == "stand-ins, asking; without tenure, concurrent: a"
        assert in_words(there | {"tenure": "a", "asking": "b"}) == (
            "stand-ins, concurrent; without tenure: a; without asking: b"
        )

    def test_in_the_log_of_install(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv(VARIABLE, "asking")
        caplog.set_level(logging.INFO, "gcctl")
        with gcctl.install("off"):
            pass
        (installed,) = (text for text in caplog.messages if text.startswith("installed: "))
        assert f"without asking: {OFF}" in installed or "without tenure" in installed


class TestWithoutConcurrent:
    @concurrent_only
    def test_full_collections_stop_the_world(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv(VARIABLE, "concurrent")
        with gcctl.install("off"):
            done = gcctl.collect_concurrently()
            assert gcctl.stats().concurrent.started == 0
            assert gcctl.stats().concurrent.fallbacks == 1
        assert done.outcome == f"fallback: no concurrent collections: {OFF}"
        assert f"a full collection stopped the world: no concurrent collections: {OFF}" in (
            caplog.text
        )

    @concurrent_only
    def test_only_while_it_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setenv(VARIABLE, "concurrent")
            assert coordinator.missing == OFF
        assert coordinator.missing == ""
