"""
Writes metrics down as Prometheus and OpenMetrics read them, by prometheus-client.

Heavy, so imported when it is first asked for: what is counted is counted elsewhere. Beside ours stand those that every program tells of its
process (memory, open files, CPU time); no other part of the library's own is asked, and nothing of it is global.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from gatelodge.runtime.standing.measures import BOUNDS, Durations
from gatelodge.runtime.standing.metrics import Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric as Family

    from gatelodge.runtime.standing.metrics import Metric


def exposed(metrics: Iterable[Metric], accepted: str) -> tuple[bytes, str]:
    """
    Return metrics as text, with its content type.

    Args:
        accepted: the Accept header of whoever asks.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(tuple(metrics)))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accepted)
    return encode(registry), content_type


class _Given:
    """
    A collector of metrics that are there already.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Family]:
        """
        Yield them as the library's.
        """
        yield from map(_family, self._metrics)


def _family(metric: Metric) -> Family:
    if metric.type is Type.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in metric.samples:
            if isinstance(value, Durations):
                histogram.add_metric(labels, _buckets(value), value.total)
        return histogram
    kind = CounterMetricFamily if metric.type is Type.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in metric.samples:
        if not isinstance(value, Durations):
            family.add_metric(labels, value)
    return family


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    """
    Return how many lasted at most so long, for each bound.
    """
    rows, count = [], 0
    for bound, more in zip([*map(str, BOUNDS), "+Inf"], durations.counts, strict=True):
        count += more
        rows.append((bound, float(count)))
    return rows
