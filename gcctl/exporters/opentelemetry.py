"""OpenTelemetry: gcctl's counters as metrics, and the pauses of a request on its span.

    from gcctl.exporters import opentelemetry

    opentelemetry.instrument()

Metrics are read when they are exported. At requests nothing is done, unless they have a span.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from gcctl._base.errors import GcctlError
from gcctl._base.extras import require
from gcctl._lifecycle.controller import Controller
from gcctl._lifecycle.install import installed
from gcctl._lifecycle.observers import observe
from gcctl._process.forked import in_child
from gcctl._process.twins import core
from gcctl.exporters._metrics import METRICS, PAUSE_BOUNDS_NS, Metric
from gcctl.exporters._pauses import GENERATION, Pauses, Record
from gcctl.exporters._reading import Reading, version
from gcctl.exporters._totals import Totals

require("opentelemetry-sdk", "1.30", extra="opentelemetry")

from opentelemetry import metrics, trace  # noqa: E402
from opentelemetry.context import Context  # noqa: E402
from opentelemetry.metrics import CallbackOptions, Observation  # noqa: E402
from opentelemetry.sdk.trace import Span, SpanProcessor  # noqa: E402

PAUSE_ATTRIBUTE: Final = "gcctl.gc_pause_ns"
"""Attribute of a span: nanoseconds for which collections paused the process while it lasted."""

CONVENTION: Final = {
    "cpython.gc.collections": ("collections", "{collection}"),
    "cpython.gc.collected_objects": ("collected", "{object}"),
    "cpython.gc.uncollectable_objects": ("uncollectable", "{object}"),
}
"""Name in OpenTelemetry's semantic conventions → key of gc.get_stats(), unit."""

OWN: Final = tuple(m for m in METRICS if m.name not in ("gc.collections", "gc.collected_objects"))
"""Metrics that the conventions do not have, or have under another name."""
NAMES: Final = {"resident_memory": "process.memory.usage"}

WAIT_SECONDS: Final = 1.0
"""How long the end of a controller waits for an export."""

_instrumented: list[Any] = []


def instrument(meter_provider: Any = None, tracer_provider: Any = None) -> None:
    """Export gcctl's metrics by `meter_provider`; and set on each span of a request or message of
    `tracer_provider` how long collections paused the process meanwhile. None: the global provider.

    Call it once in each process, after the providers are set and after the fork. It may come before
    or after `gcctl.install()`. A second call for the same meter provider does nothing.

    Raises GcctlError for a tracer provider that takes no span processors.
    """
    tracers = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
    if hasattr(tracers, "add_span_processor"):
        if tracers not in _instrumented:
            _instrumented.append(tracers)
            tracers.add_span_processor(PauseSpanProcessor())
    elif tracer_provider is not None:
        raise GcctlError(f"{tracer_provider!r} is no tracer provider that takes span processors")
    meters = metrics.get_meter_provider() if meter_provider is None else meter_provider
    if meters not in _instrumented:
        _instrumented.append(meters)
        _Exporter(metrics.get_meter("gcctl", version(), meters))


class PauseSpanProcessor(SpanProcessor):
    """Sets `gcctl.gc_pause_ns` on spans of the kinds SERVER and CONSUMER, when they end.

    It counts every pause of the process, whoever caused it. `instrument()` adds one to the tracer
    provider; without it, add one yourself. It sets nothing where gcctl is not installed.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if span.kind in (trace.SpanKind.SERVER, trace.SpanKind.CONSUMER) and installed():
            _measure(span)


def _measure(span: Any) -> None:
    # When the SDK tells its processors that a span ends, attributes can no longer be set; up to
    # 1.45 at least, not even in `_on_ending`. So the span gets an `end` of its own.
    begun, end = core.paused_ns(), span.end

    def end_with_pause(end_time: int | None = None) -> None:
        with suppress(Exception):
            # Else the span and this function would be a cycle.
            del span.end
            span.set_attribute(PAUSE_ATTRIBUTE, max(core.paused_ns() - begun, 0))
        end(end_time)

    span.end = end_with_pause


class _Counts:
    """What one process has counted and told. A forked child has its own."""

    def __init__(self, record: Record) -> None:
        self._lock = threading.Lock()
        self._totals = Totals()
        self._pauses = Pauses(record)

    @property
    def now(self) -> Reading:
        return self._totals.counted

    def refresh(self, controller: Controller | None, wait_seconds: float = 0) -> None:
        """Read all controllers, and tell new pauses. While another thread does so, it does nothing:
        the next call includes this controller."""
        if controller is not None:
            self._totals.include(controller)
        if not self._lock.acquire(timeout=wait_seconds):
            return
        try:
            for known, stats in self._totals.update():
                if not self._pauses.tell(known, stats.generations):
                    self._totals.include(known)
        finally:
            self._lock.release()


class _Exporter:
    """The instruments of one meter, and the functions that they call for their values."""

    def __init__(self, meter: Any) -> None:
        self._record = meter.create_histogram(
            "gcctl.gc.pause",
            "s",
            "Pauses for collections, whoever caused them",
            explicit_bucket_boundaries_advisory=[bound / 1e9 for bound in PAUSE_BOUNDS_NS],
        ).record
        self._begin()
        in_child(self._begin)
        for name, (key, unit) in CONVENTION.items():
            meter.create_observable_counter(name, [_interpreter(key)], unit)
        create = {
            "counter": meter.create_observable_counter,
            "level": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        for position, metric in enumerate(OWN):
            name = NAMES.get(metric.name, f"gcctl.{metric.name}")
            tell = self._teller(metric, refresh=position == 0)
            create[metric.kind](name, [tell], metric.unit, metric.help)
        observe(self._note_end)

    def _begin(self) -> None:
        self._counts = _Counts(self._record)

    def _teller(self, metric: Metric, refresh: bool) -> Callable[[CallbackOptions], Any]:
        """An export reads all instruments one after the other. The first of them refreshes, so that
        all values are of the same moment."""

        def tell(options: CallbackOptions) -> Iterator[Observation]:
            if refresh:
                self._counts.refresh(installed())
            now = self._counts.now
            found = now.counters if metric.kind == "counter" else now.gauges
            for label, value in found.get(metric.name, {}).items():
                attributes = {f"gcctl.{metric.label}": label} if metric.label else {}
                yield Observation(value / 1e9 if metric.unit == "s" else value, attributes)

        return tell

    def _note_end(self, controller: Controller, ended: bool) -> None:
        if ended:
            self._counts.refresh(controller, WAIT_SECONDS)


def _interpreter(key: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def tell(options: CallbackOptions) -> Iterator[Observation]:
        for generation, counts in enumerate(gc.get_stats()):
            yield Observation(counts[key], {GENERATION: generation})

    return tell
