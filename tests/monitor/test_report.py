"""The report as text and as JSON, and figures with their units."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import math
import os
import platform
from collections import Counter
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gcctl
from gcctl._base.units import duration, size
from gcctl._concurrent.coordinator import coordinator
from gcctl._config.config import Config
from gcctl._config.presets import PRESETS
from gcctl._core import histogram
from gcctl._core.records import REASONS, ByReason, Event
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.mechanisms import overview
from gcctl._memory.memory_event import MemoryEvent
from gcctl._memory.recycling import RecycleAdvice
from gcctl._monitor import report
from gcctl._monitor.alerts import Alert, AlertCounts
from gcctl._monitor.statistics import CollectionStats, MemorySample, MinuteStats, Stats
from gcctl._process.twins import core

UNITS = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9}

numbers = st.integers(0, 2**63 - 1)
triples = st.tuples(numbers, numbers, numbers)
texts = st.text(st.characters(exclude_categories=["Z", "C"]), max_size=20)
events = st.builds(
    Event, numbers, numbers, st.integers(0, 2), numbers, st.sampled_from(REASONS), numbers
)
memory_events = st.builds(
    MemoryEvent, numbers, texts, numbers, numbers, numbers, numbers, numbers, triples, numbers
)


def few(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=8).map(tuple)


def counters(pauses: list[int], objects: int) -> dict[str, Any]:
    """The fields of CollectionStats after these pauses."""
    return {
        "collections": len(pauses),
        "objects_collected": objects if pauses else 0,
        "pause_total_ns": sum(pauses),
        "pause_max_ns": max(pauses, default=0),
        "pause_histogram": tuple(sorted(Counter(map(histogram.bucket_of, pauses)).items())),
    }


# As many short ones as a service has, and what no clock has ever shown.
pause_lists = st.lists(st.one_of(st.integers(0, 10**9), numbers), max_size=20)


@st.composite
def stats_with_pauses(draw: st.DrawFn) -> tuple[Stats, list[int]]:
    lists = draw(st.tuples(pause_lists, pause_lists, pause_lists))
    pauses = [pause for generation in lists for pause in generation]
    recent = draw(pause_lists)
    minute = MinuteStats(
        **counters(recent, draw(numbers)), collections_by_generation=(len(recent), 0, 0)
    )
    generations = tuple(CollectionStats(**counters(part, draw(numbers))) for part in lists)
    kinds = st.sampled_from(AlertCounts._fields)
    rest = st.builds(
        Stats,
        **{name: st.just(value) for name, value in counters(pauses, draw(numbers)).items()},
        policy=st.one_of(st.none(), st.sampled_from([*PRESETS])),
        implementation=st.sampled_from(["c", "python"]),
        generations=st.just(generations),
        collections_by_reason=st.builds(ByReason, *[numbers] * len(REASONS)),
        last_minute=st.just(minute),
        memory_samples=few(st.builds(MemorySample, numbers, numbers)),
        memory_limited=st.sampled_from(["", "RSS", "cgroup /app", "physical memory"]),
        memory_stalled_share=st.one_of(st.floats(0, 1), st.just(math.nan), st.just(math.inf)),
        memory_events=few(memory_events),
        alerts=few(st.builds(Alert, kinds, numbers, texts, numbers)),
        alert_counts=st.builds(AlertCounts, *[numbers] * len(AlertCounts._fields)),
        recycle_advice=st.one_of(
            st.none(), st.builds(RecycleAdvice, st.sampled_from(["requests", "rss"]), texts)
        ),
        **dict.fromkeys(PLAIN_COUNTERS, numbers),
    )
    return draw(rest), pauses


PLAIN_COUNTERS = [
    field.name
    for field in fields(Stats)
    if field.type == "int" and field.name not in {f.name for f in fields(CollectionStats)}
]


class TestUnits:
    @pytest.mark.parametrize(
        ("ns", "text"),
        [
            (0, "0 ns"),
            (999, "999 ns"),
            (1000, "1 µs"),
            (1234, "1.23 µs"),
            (999_600, "1,000 µs"),
            (12_300_000, "12.3 ms"),
            (4_000_000_000_000, "4,000 s"),
        ],
    )
    def test_durations_read_as_people_write_them(self, ns: int, text: str) -> None:
        assert duration(ns) == text

    @given(ns=st.integers(0, 10**15))
    def test_durations_keep_two_significant_digits_and_a_half(self, ns: int) -> None:
        number, unit = duration(ns).split()
        assert "e" not in number
        assert abs(float(number.replace(",", "")) * UNITS[unit] - ns) <= ns * 0.005

    def test_sizes_are_in_mebibytes(self) -> None:
        assert size(1536 * 2**20) == "1,536.0 MiB"


@pytest.mark.parametrize("format", ["yaml", "", "JSON", None, 3])
def test_an_unknown_format_is_an_error_that_names_it(format: Any) -> None:
    with pytest.raises(ValueError, match=r"format: .* expected 'text' or 'json'") as caught:
        gcctl.report(format)
    assert repr(format) in str(caught.value)


class TestHistogram:
    @given(given_stats=stats_with_pauses())
    def test_rows_hold_every_collection_from_the_shortest_to_the_longest(
        self, given_stats: tuple[Stats, list[int]]
    ) -> None:
        stats, pauses = given_stats
        rows = report.pause_rows(stats)
        assert sum(count for _, _, count in rows) == len(pauses)
        assert all(high == low for (_, high, _), (low, _, _) in pairwise(rows))
        if pauses:
            assert rows[0][2] > 0
            assert rows[-1][2] > 0
            assert rows[-1][0] <= max(pauses) < rows[-1][1]

    @given(pauses=st.lists(st.integers(0, 2**37 - 1), min_size=1))
    def test_a_pause_is_in_its_row_or_within_a_bucket_of_it(self, pauses: list[int]) -> None:
        rows = report.pause_rows(CollectionStats(**counters(pauses, 0)))
        for low, high, count in rows:
            surely = sum(1 for pause in pauses if low * 17 / 16 <= pause < high * 15 / 16)
            perhaps = sum(1 for pause in pauses if low * 15 / 16 <= pause < high * 17 / 16)
            assert surely <= count <= perhaps

    @pytest.mark.parametrize(
        ("pause", "row"), [(0, (0, 1)), (1, (1, 2)), (30_000, (20_000, 50_000))]
    )
    def test_boundaries_are_one_two_five(self, pause: int, row: tuple[int, int]) -> None:
        stats = CollectionStats(**counters([pause], 0))
        assert report.pause_rows(stats) == [(*row, 1)]


class TestText:
    @given(given_stats=stats_with_pauses())
    def test_any_statistics_become_text(self, given_stats: tuple[Stats, list[int]]) -> None:
        stats, pauses = given_stats
        text = report.render("text", stats, None, ())
        if stats.policy is None:
            assert text == "gcctl is not installed"
            return
        assert text.startswith(f"gcctl         policy {stats.policy}, ")
        assert f"{stats.requests:,}, {stats.failures:,} failed" in text
        assert ("histogram" in text) == bool(pauses)
        assert all(alert.message in text for alert in stats.alerts[-5:])
        if stats.memory_events:
            assert str(stats.memory_events[-1]) in text
        if stats.recycle_advice is not None:
            assert stats.recycle_advice.message in text

    @given(pauses=st.lists(st.integers(0, 10**12), min_size=1))
    def test_bars_are_in_proportion_and_at_most_40_wide(self, pauses: list[int]) -> None:
        stats = CollectionStats(**counters(pauses, 0))
        rows = report.pause_rows(stats)
        most = max(count for _, _, count in rows)
        text = report.full(Stats(policy="off", **counters(pauses, 0)))
        table = text[text.index("histogram") :].split("\n\n")[0].splitlines()
        assert len(table) == len(rows)
        for line, (_, _, count) in zip(table, rows, strict=True):
            assert len(line) <= 100
            bar = line.count("#")
            assert bar <= 40
            assert (bar > 0) == (count > 0)
            assert abs(bar - 40 * count / most) < 1

    def test_a_service_fits_into_100_columns_and_its_columns_are_aligned(self) -> None:
        parts = [([12_345] * 99_999, 1_234_567), ([1_234_567] * 999, 99_999), ([56_789_012], 5)]
        generations = tuple(CollectionStats(**counters(*part)) for part in parts)
        pauses = [pause for part, _ in parts for pause in part]
        stats = Stats(
            policy="production",
            implementation="python",
            requests=1_000_000,
            elapsed_ns=10**13,
            cpu_ns=10**12,
            generations=generations,  # type: ignore[arg-type]
            last_minute=MinuteStats(**counters(pauses[-50:], 77)),
            collections_by_reason=ByReason(100_000, 100, 20, 3, 9_999),
            rss_bytes=2**33,
            **counters(pauses, 1_334_571),
        )
        lines = report.full(stats).splitlines()
        assert max(map(len, lines)) <= 100
        start = next(number for number, line in enumerate(lines) if line.startswith("pauses"))
        table = lines[start : start + 6]
        labels = [line[:14].rstrip() for line in table]
        generations_ = [f"generation {number}" for number in range(3)]
        assert labels == ["pauses", *generations_, "all", "last minute"]
        assert len({len(line) for line in table}) == 1

    def test_it_has_the_process(self) -> None:
        first = report.full(Stats(policy="off")).splitlines()[0]
        assert first.endswith(f", process {os.getpid()}")

    def test_what_is_left_alone_is_said(self) -> None:
        assert "left alone    it is new" in report.full(Stats(policy="off", left_alone="it is new"))
        assert "left alone" not in report.full(Stats(policy="off"))

    def test_without_collections_there_is_nothing_about_pauses(self) -> None:
        text = report.full(Stats(policy="off"))
        assert "pause" not in text
        assert "collections   0\n" in text

    def test_memory_against_its_limit(self) -> None:
        event = MemoryEvent(1, "RSS", 2**20, 2**22, 2**21, 2**22, 2**21, (1, 2, 3), 10**6)
        stats = Stats(
            policy="off",
            memory_limited="RSS",
            memory_used_bytes=3 * 2**20,
            memory_limit_bytes=4 * 2**20,
            high_memory=True,
            high_memory_events=7,
            memory_events=(event,),
        )
        text = report.full(stats)
        assert "RSS 3.0 MiB of 4.0 MiB (75.00 %)" in text
        assert "yes; high-memory events: 7" in text
        assert str(event) in text
        assert "limit         none" in report.full(Stats(policy="off"))

    def test_the_five_last_alerts_and_the_count_of_each_kind(self) -> None:
        alerts = tuple(Alert("high_memory", core.now(), f"number {n}") for n in range(7))
        stats = Stats(policy="off", alerts=alerts, alert_counts=AlertCounts(high_memory=1234))
        text = report.full(stats)
        assert "high_memory 1,234" in text
        assert [f"ago: number {n}" in text for n in range(7)] == [False] * 2 + [True] * 5


def assert_holds(found: Any, value: Any) -> None:
    """Every field of `value`, and of what it has in it, is in `found`, in JSON's terms."""
    if isinstance(value, CollectionStats):
        assert_collections(found, value)
    if is_dataclass(value):
        for field in fields(value):
            if field.name != "pause_histogram":
                assert_holds(found[field.name], getattr(value, field.name))
    elif hasattr(value, "_asdict"):
        assert list(found) == list(value._fields)
        assert_holds([*found.values()], [*value])
    elif isinstance(value, tuple | list):
        assert len(found) == len(value)
        for one, other in zip(found, value, strict=True):
            assert_holds(one, other)
    elif isinstance(value, frozenset):
        assert found == sorted(value)
    elif isinstance(value, float) and not math.isfinite(value):
        assert found is None
    else:
        assert found == value
        assert type(found) is type(value)


def assert_collections(found: Any, stats: CollectionStats) -> None:
    assert found["pause_mean_ns"] == stats.pause_mean_ns
    assert found["objects_per_ms"] == stats.objects_per_ms
    percentiles = [*found["pause_percentiles_ns"].values()]
    assert [*found["pause_percentiles_ns"]] == ["p50", "p90", "p99", "p99_9"]
    assert percentiles == [stats.pause_percentile_ns(q) for q in (50, 90, 99, 99.9)]
    if stats.pause_max_ns < 2**37:  # beyond, a bucket has no upper bound
        assert sorted([*percentiles, stats.pause_max_ns]) == [*percentiles, stats.pause_max_ns]
    assert sum(row["count"] for row in found["pause_histogram"]) == stats.collections
    buckets = [bucket for bucket, _ in stats.pause_histogram]
    for end in ("from_ns", "to_ns"):
        assert [histogram.bucket_of(row[end]) for row in found["pause_histogram"]] == buckets


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


class TestJSON:
    @given(given_stats=stats_with_pauses(), last=few(events))
    def test_it_holds_every_field(
        self, given_stats: tuple[Stats, list[int]], last: tuple[Event, ...]
    ) -> None:
        stats, _ = given_stats
        config = Config(policy=stats.policy or "off", max_pause="5ms")
        text = report.render("json", stats, config, last)
        assert text.isascii()
        assert "\n" not in text
        found = json.loads(text, parse_constant=refuse)
        assert json.loads(json.dumps(found)) == found
        assert [*found] == ["environment", "config", "gc_settings", "stats", "events"]
        assert_holds(found["stats"], stats)
        assert found["stats"]["collections_by_generation"] == [*stats.collections_by_generation]
        assert found["stats"]["pause_share"] == stats.pause_share
        assert found["stats"]["gc_cpu_share"] == stats.gc_cpu_share
        assert_holds(found["events"], last)
        assert_holds(found["config"], config if stats.policy is not None else None)

    @pytest.mark.parametrize("policy", PRESETS)
    def test_every_preset_is_json(self, policy: str) -> None:
        config = Config(policy=policy)
        text = report.render("json", Stats(policy=policy), config, ())
        assert_holds(json.loads(text, parse_constant=refuse)["config"], config)

    def test_environment(self) -> None:
        before = datetime.now(UTC), core.now()
        environment = json.loads(gcctl.report("json"))["environment"]
        after = datetime.now(UTC), core.now()
        made = datetime.fromisoformat(environment.pop("time"))
        assert before[0] <= made <= after[0]
        assert made.utcoffset() == before[0].utcoffset()
        assert before[1] <= environment.pop("time_ns") <= after[1]
        assert environment.pop("platform").startswith(f"{platform.system()}-")
        assert environment == {
            "gcctl": importlib.metadata.version("gcctl"),
            "implementation": core.implementation,
            "python": platform.python_version(),
            "python_implementation": platform.python_implementation(),
            "collector": COLLECTOR,
            "mechanisms": {
                name: why or None for name, why in overview(coordinator.missing).items()
            },
            "pid": os.getpid(),
        }

    def test_installed_and_uninstalled(self) -> None:
        assert json.loads(gcctl.report("json"))["config"] is None
        with gcctl.install("instagram", gen0_every=2) as controller:
            for _ in range(10):
                gcctl.tick()
            report = json.loads(gcctl.report("json"))
            assert report["config"]["gen0_every"] == 2
            assert report["config"]["given"] == ["gen0_every", "policy"]
            assert report["gc_settings"]["enabled"] is gc.isenabled() is False
            assert report["stats"]["requests"] == 10
            scheduled = [event for event in report["events"] if event["reason"] == "scheduled"]
            assert len(scheduled) == 5
        final = json.loads(controller.report("json"))
        assert controller.events()
        assert final["config"] == report["config"]
        assert final["gc_settings"]["enabled"] is True
        assert final["events"][: len(report["events"])] == report["events"]
        assert final["events"][-1]["reason"] == "requested", "the final collection"
        assert final["stats"]["collections"] == len(final["events"])

    def test_not_installed_for_good(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        report = json.loads(gcctl.install().report("json"))
        assert (report["config"], report["stats"]["policy"], report["events"]) == (None, None, [])
