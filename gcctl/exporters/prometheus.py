"""Prometheus: a collector that reads gcctl's counters when it is asked for them.

    from gcctl.exporters import prometheus

    prometheus.register()

In prometheus_client's multiprocess mode (PROMETHEUS_MULTIPROC_DIR), it answers for all workers of
the server.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

from gcctl._base.clock import monotonic
from gcctl._base.extras import require
from gcctl._lifecycle.controller import Controller
from gcctl._lifecycle.install import installed
from gcctl._lifecycle.observers import observe
from gcctl.exporters._metrics import METRICS, PAUSE_BOUNDS_NS, Metric
from gcctl.exporters._reading import NOTHING, Reading, read, total
from gcctl.exporters._worker_files import Worker, WorkerFile, worker_file

require("prometheus-client", "0.17", extra="prometheus")

from prometheus_client import REGISTRY, CollectorRegistry  # noqa: E402
from prometheus_client.core import (  # noqa: E402
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import Metric as Family  # noqa: E402
from prometheus_client.registry import Collector  # noqa: E402

PUBLISH_SECONDS: Final = 0.25
"""Shortest time between two writes of a worker's counters. A write takes about 0.15 ms."""

UNITS: Final = {"s": "_seconds", "By": "_bytes"}
BOUNDS: Final = (*(str(bound / 1e9) for bound in PAUSE_BOUNDS_NS), "+Inf")

_published: set[WorkerFile] = set()


def register(
    registry: CollectorRegistry = REGISTRY, *, directory: str | os.PathLike[str] | None = None
) -> GcctlCollector:
    """Have `registry` export gcctl's metrics. Returns the collector, for `registry.unregister`.

    All workers of the server write their counters to `directory`; None: to the directory of
    PROMETHEUS_MULTIPROC_DIR, if that is set. Call it in every worker, or before they are forked. It
    may come before or after `gcctl.install()`; nothing is exported until gcctl is installed.

    Raises ValueError if this registry has gcctl's metrics already, and GcctlError for several
    workers on a system without file locks. A missing directory is logged, and used when it is
    there.
    """
    collector = GcctlCollector(directory=directory)
    registry.register(collector)
    collector.publish()
    return collector


class GcctlCollector(Collector):
    """What `register` registers; docs/integrations/prometheus.md lists the metrics."""

    def __init__(self, *, directory: str | os.PathLike[str] | None = None) -> None:
        if directory is None:
            # prometheus_client deprecated the second name long ago, but still accepts it.
            for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
                directory = directory or os.environ.get(name)
        self._file = worker_file(directory) if directory else None

    def publish(self) -> None:
        """From now on write what this process counts, so that other workers can export it. This
        cannot be undone, so it is done after the registry has accepted the collector."""
        if self._file is not None and self._file not in _published:
            _published.add(self._file)
            observe(_publisher(self._file))

    def describe(self) -> Iterable[Family]:
        """The families without a sample."""
        return _families(NOTHING, (), several=self._file is not None)

    def collect(self) -> Iterator[Family]:
        """The families with the counts of this moment; none where gcctl is not installed."""
        controller = installed()
        if self._file is None:
            if controller is not None:
                reading = read(controller.stats())
                yield from _families(reading, [Worker("", reading, True)], several=False)
            return
        if controller is not None:
            self._file.write(controller)
            # The scrape may be a request itself, and was written as one in flight. So the next
            # check, perhaps at its end, shall write again.
            self._file.tried_at = float("-inf")
        workers = list(self._file.workers())
        living = [worker for worker in workers if worker.alive]
        yield from _families(total(worker.reading for worker in workers), living, several=True)


def _publisher(file: WorkerFile) -> Any:
    """The observer that writes this process's counters at checks."""

    def publish(controller: Controller, ended: bool) -> None:
        if ended or monotonic.seconds() >= file.tried_at + PUBLISH_SECONDS:
            file.write(controller, ended=ended)

    return publish


def _families(counted: Reading, living: Sequence[Worker], *, several: bool) -> Iterator[Family]:
    """`several`: gauges have a label for the worker."""
    yield _histogram(counted)
    for metric in METRICS:
        if metric.kind == "counter":
            yield _counter(metric, counted)
        else:
            yield _gauge(metric, living, several)
    info = InfoMetricFamily("gcctl", "The policy at work, the core, and gcctl's version")
    for values in {tuple(worker.reading.info.items()) for worker in living} - {()}:
        info.add_metric([], dict(values))
    yield info


def _histogram(counted: Reading) -> Family:
    family = HistogramMetricFamily(
        "gcctl_gc_pause_seconds", "Pauses for collections", labels=["generation"]
    )
    for generation, (*counts, total_ns) in counted.pauses.items():
        buckets = list(zip(BOUNDS, map(float, accumulate(counts)), strict=True))
        family.add_metric([generation], buckets, sum_value=total_ns / 1e9)
    return family


def _counter(metric: Metric, counted: Reading) -> Family:
    family = CounterMetricFamily(_name(metric), metric.help, labels=_labels(metric))
    for label, value in counted.counters.get(metric.name, {}).items():
        family.add_metric([label] if metric.label else [], _in_base_unit(metric, value))
    return family


def _gauge(metric: Metric, living: Sequence[Worker], several: bool) -> Family:
    labels = ["worker"] if several else []
    family = GaugeMetricFamily(_name(metric), metric.help, labels=labels)
    for worker in living:
        for value in worker.reading.gauges.get(metric.name, {}).values():
            family.add_metric([worker.number] if several else [], _in_base_unit(metric, value))
    return family


def _name(metric: Metric) -> str:
    return f"gcctl_{metric.name.replace('.', '_')}{UNITS.get(metric.unit, '')}"


def _labels(metric: Metric) -> list[str]:
    return [metric.label] if metric.label else []


def _in_base_unit(metric: Metric, value: int) -> float:
    return value / 1e9 if metric.unit == "s" else float(value)
