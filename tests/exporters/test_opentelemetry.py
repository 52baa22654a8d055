"""The OpenTelemetry exporter with the real SDK: metrics as a reader gets them, and spans."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from collecting import Node
from paths import DOCS
from processes import PATIENCE_SECONDS, in_child, needs_fork, run_program

import gcctl
from gcctl._core import histogram
from gcctl._lifecycle import installation, observers
from gcctl._monitor.statistics import CollectionStats

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from gcctl.exporters import _metrics, _pauses, opentelemetry

PAGE = DOCS / "integrations" / "opentelemetry.md"


@pytest.fixture(autouse=True)
def no_observers_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "_observers", ())


class Metrics:
    """What an export has."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        opentelemetry.instrument(self.provider)

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def value(self, name: str, **attributes: object) -> Any:
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        (point,) = (p for p in self.points()[name] if dict(p.attributes) == wanted)
        return point.value

    def pauses(self) -> dict[int, Any]:
        points = self.points().get("gcctl.gc.pause", [])
        return {point.attributes["cpython.gc.generation"]: point for point in points}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_an_export_has_the_counters_of_this_moment(metrics: Metrics) -> None:
    gcctl.install("instagram", memory_limit="1TiB")
    for _ in range(20):
        gcctl.tick()
    with gcctl.request():
        assert metrics.value("gcctl.requests_in_flight") == 1
    assert metrics.value("gcctl.requests") == 21
    assert metrics.value("gcctl.gc.collections_by_reason", gcctl__reason="scheduled") == 21
    assert metrics.value("gcctl.memory.limit") == 2**40
    assert metrics.value("process.memory.usage") > 2**20
    assert metrics.value("gcctl.alerts", gcctl__kind="high_memory") == 0


def test_what_the_conventions_have_is_what_the_interpreter_says(metrics: Metrics) -> None:
    gc.disable()
    try:
        for generation, counts in enumerate(gc.get_stats()):
            labels = {"cpython__gc__generation": generation}
            assert metrics.value("cpython.gc.collections", **labels) == counts["collections"]
            assert metrics.value("cpython.gc.collected_objects", **labels) == counts["collected"]
            name = "cpython.gc.uncollectable_objects"
            assert metrics.value(name, **labels) == counts["uncollectable"]
    finally:
        gc.enable()


def test_every_pause_is_in_the_histogram_once_and_their_sum_is_right(metrics: Metrics) -> None:
    gcctl.install("instagram", gen1_every=None, gen2_every=None)
    for count in (3, 1000, 0, 1):  # more than events are kept
        for _ in range(count):
            Node()
            gcctl.tick()
        metrics.points()
    stats, points = gcctl.stats(), metrics.pauses()
    for generation, totals in enumerate(stats.generations):
        if not totals.collections:
            assert generation not in points
            continue
        point = points[generation]
        assert point.count == totals.collections
        assert point.sum == pytest.approx(totals.pause_total_ns / 1e9, rel=1e-6)
        assert list(point.bucket_counts) == _metrics.pause_counts(totals.pause_histogram)
        assert list(point.explicit_bounds) == [ns / 1e9 for ns in _metrics.PAUSE_BOUNDS_NS]


def test_too_many_pauses_for_one_export_are_told_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_pauses, "MOST", 100)
    told: list[float] = []
    pauses = _pauses.Pauses(lambda seconds, attributes: told.append(seconds))
    lengths = [*range(1000, 100_000, 1000)] * 3
    counts = [(histogram.bucket_of(ns), lengths.count(ns)) for ns in sorted(set(lengths))]
    merged: dict[int, int] = {}
    for bucket, count in counts:
        merged[bucket] = merged.get(bucket, 0) + count
    stats = CollectionStats(
        collections=len(lengths),
        pause_total_ns=sum(lengths),
        pause_histogram=tuple(sorted(merged.items())),
    )
    for _ in range(4):
        before = len(told)
        pauses.tell(pauses, [stats])
        assert len(told) - before <= 100
    assert len(told) == len(lengths)
    assert sum(told) == pytest.approx(sum(lengths) / 1e9, rel=1e-6)


def test_counters_go_on_where_gcctl_is_uninstalled_and_installed_again(metrics: Metrics) -> None:
    for _ in range(2):
        gcctl.install("instagram")
        gcctl.tick()
        gcctl.uninstall()
    assert metrics.value("gcctl.requests") == 2
    assert metrics.pauses()[0].count >= 2
    assert "process.memory.usage" not in metrics.points()
    gcctl.install("off")
    gcctl.tick()
    assert metrics.value("gcctl.requests") == 3


class Stuck:
    """An export of 200 requests that comes to no end before it is told to."""

    def __init__(self, metrics: Metrics) -> None:
        self._begun, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=metrics.points)

    def begins(self) -> None:
        gcctl.install("instagram")
        for _ in range(200):
            gcctl.tick()
        self._thread.start()
        assert self._begun.wait(PATIENCE_SECONDS)

    def sleep(self, seconds: float) -> None:
        self._begun.set()
        self._may_end.wait(PATIENCE_SECONDS)

    def ends(self) -> None:
        self._may_end.set()
        self._thread.join()


@pytest.fixture
def stuck(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    stuck = Stuck(metrics)
    monkeypatch.setattr("gcctl.exporters._pauses.sleep", stuck.sleep)
    monkeypatch.setattr(opentelemetry, "WAIT_SECONDS", 0.01)
    stuck.begins()
    yield stuck
    stuck.ends()


class TestAnEndThatAnExportDoesNotSee:
    def test_what_it_has_counted_stays(self, metrics: Metrics, stuck: Stuck) -> None:
        gcctl.tick()
        gcctl.uninstall()
        stuck.ends()
        assert metrics.value("gcctl.requests") == 201
        assert sum(point.count for point in metrics.pauses().values()) >= 201

    def test_nor_is_one_missed_that_came_and_went(self, metrics: Metrics, stuck: Stuck) -> None:
        gcctl.uninstall()
        with gcctl.install("instagram"):
            gcctl.tick()
        gcctl.install("off")
        gcctl.tick()
        stuck.ends()
        assert metrics.value("gcctl.requests") == 202
        assert sum(point.count for point in metrics.pauses().values()) >= 201

    def test_one_that_was_interrupted_is_not_forgotten(
        self, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(self: object) -> int:
            raise KeyboardInterrupt

        gcctl.install("production")
        gcctl.tick()
        assert metrics.value("gcctl.requests") == 1
        with monkeypatch.context() as patch:
            patch.setattr(installation.Installation, "_collect_all", interrupted)
            with pytest.raises(KeyboardInterrupt):
                gcctl.uninstall()
        assert metrics.value("gcctl.requests") == 1
        gcctl.install("off")
        gcctl.tick()
        assert metrics.value("gcctl.requests") == 2

    def test_pauses_that_are_too_many_for_it_follow(
        self, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_pauses, "MOST", 10)
        controllers = []
        for _ in range(2):
            controllers.append(gcctl.install("instagram", gen1_every=None, gen2_every=None))
            for _ in range(25):
                gcctl.tick()
            gcctl.uninstall()
        for _ in range(10):
            metrics.points()
        for generation, point in metrics.pauses().items():
            totals = [each.stats().generations[generation] for each in controllers]
            assert point.count == sum(each.collections for each in totals)
            total_ns = sum(each.pause_total_ns for each in totals)
            assert point.sum == pytest.approx(total_ns / 1e9, rel=1e-6)


def test_without_install_there_is_what_the_interpreter_says(metrics: Metrics) -> None:
    assert {name.split(".")[0] for name in metrics.points()} == {"cpython"}


def test_instrumented_twice_it_exports_once(metrics: Metrics) -> None:
    opentelemetry.instrument(metrics.provider)
    gcctl.install("off")
    gcctl.tick()
    assert metrics.value("gcctl.requests") == 1


@needs_fork
def test_a_forked_child_counts_its_own(metrics: Metrics) -> None:
    gcctl.install("off")
    for _ in range(3):
        gcctl.tick()
    assert metrics.value("gcctl.requests") == 3

    def child() -> object:
        gcctl.tick()
        return metrics.value("gcctl.requests")

    assert in_child(child) == "1"


@needs_fork
def test_a_child_forked_in_the_middle_of_an_export_exports(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a finalizer may do that a collection within it has called."""
    forked: list[int] = []

    def fork_once(seconds: float) -> None:
        if not forked:
            forked.append(os.fork())

    monkeypatch.setattr("gcctl.exporters._pauses.sleep", fork_once)
    gcctl.install("instagram")
    for _ in range(200):
        gcctl.tick()
    metrics.points()
    (child,) = forked
    if not child:
        gcctl.tick()
        value = metrics.value("gcctl.requests")
        os._exit(value if {r.name for r in caplog.records} <= {"gcctl"} else 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert metrics.value("gcctl.requests") == 200


# Spans.


class Spans:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        opentelemetry.instrument(
            MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False), self.provider
        )
        self.tracer = self.provider.get_tracer("test")

    def pauses(self) -> list[Any]:
        """The attribute of each finished span."""
        found = self.exporter.get_finished_spans()
        return [span.attributes.get("gcctl.gc_pause_ns") for span in found]


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_a_span_says_what_it_was_paused(spans: Spans, kind: SpanKind) -> None:
    gcctl.install("off")
    gc.collect()
    before = gcctl.stats().pause_total_ns
    with spans.tracer.start_as_current_span("request", kind=kind):
        gc.collect()
        gc.collect(0)
    assert spans.pauses() == [gcctl.stats().pause_total_ns - before]


def test_spans_of_other_kinds_do_not(spans: Spans) -> None:
    gcctl.install("off")
    with spans.tracer.start_as_current_span("query"):
        pass
    assert spans.pauses() == [None]


def test_without_install_spans_are_left_alone(spans: Spans) -> None:
    span = spans.tracer.start_span("request", kind=SpanKind.SERVER)
    assert "end" not in vars(span)
    span.end()
    assert spans.pauses() == [None]


def test_an_ended_span_is_no_garbage_for_the_collector(spans: Spans) -> None:
    gcctl.install("off")
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            spans.tracer.start_span("request", kind=SpanKind.SERVER).end(123)
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert len(spans.pauses()) == 10
    assert spans.exporter.get_finished_spans()[0].end_time == 123


def test_what_takes_no_span_processor_is_an_error() -> None:
    with pytest.raises(gcctl.GcctlError, match="no tracer provider"):
        opentelemetry.instrument(tracer_provider=object())


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("outermost", ["gcctl", "opentelemetry"])
def test_the_span_of_a_wsgi_request_has_it(spans: Spans, outermost: str) -> None:
    wsgi = pytest.importorskip("opentelemetry.instrumentation.wsgi")

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"half"
        gc.collect()
        yield b" and half"

    def traced(app: Any) -> Any:
        return wsgi.OpenTelemetryMiddleware(app, tracer_provider=spans.provider)

    def counted(app: Any) -> Any:
        def middleware(environ: Any, start_response: Any) -> Iterator[bytes]:
            with gcctl.request():
                yield from app(environ, start_response)

        return middleware

    app = counted(traced(application)) if outermost == "gcctl" else traced(counted(application))
    gcctl.install("off")
    gc.collect()
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
            assert answer.read() == b"half and half"
        thread.join()
    (pause_ns,) = spans.pauses()
    assert pause_ns > 0
    assert gcctl.stats().pause_total_ns >= pause_ns


def test_the_example_exports(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    out = run_program(example, tmp_path)
    for name in ("cpython.gc.collections", "gcctl.gc.pause", "gcctl.gc_pause_ns"):
        assert name in out


def test_an_sdk_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gcctl.exporters.opentelemetry")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.20.0")
    message = r"opentelemetry needs opentelemetry-sdk 1\.30 .*found 1\.20\.0"
    with pytest.raises(ImportError, match=message):
        __import__("gcctl.exporters.opentelemetry")
