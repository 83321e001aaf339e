"""What the service counts about itself, in Prometheus' text format, in a registry of its own.

>>> meters = Meters()
>>> meters.answered(200, seconds=0.002)
>>> meters.batch(rows=32, requests=32)
>>> "aifactory_rows_total 32.0" in meters.text().decode()
True
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)


class Meters:
    """Counters, gauges and histograms of one service."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "aifactory_requests", "Requests for predictions by status", ["status"], registry=registry
        )
        self._rows = Counter("aifactory_rows", "Rows predicted", registry=registry)
        self._refused = Counter("aifactory_rows_refused", "Rows refused by validation", registry=registry)
        self._seconds = Histogram(
            "aifactory_request_seconds", "Time from the first byte to the answer", buckets=SECONDS, registry=registry
        )
        self._batch_rows = Histogram("aifactory_batch_rows", "Rows per batch", buckets=BATCHES, registry=registry)
        self._batch_requests = Histogram(
            "aifactory_batch_requests", "Requests per batch", buckets=BATCHES, registry=registry
        )
        self._queue = Gauge("aifactory_queue_rows", "Rows that wait", registry=registry)
        self._in_flight = Gauge("aifactory_requests_in_flight", "Requests not answered yet", registry=registry)
        self._model = Gauge(
            "aifactory_model_info", "The model that serves", ["estimator", "version"], registry=registry
        )
        self._reloads = Counter("aifactory_reloads", "Reloads by outcome", ["outcome"], registry=registry)
        self._status = {code: self._requests.labels(str(code)) for code in (200, 400, 413, 415, 422, 429, 500)}

    def answered(self, status: int, *, seconds: float) -> None:
        """Count one request."""
        (self._status.get(status) or self._requests.labels(str(status))).inc()
        self._seconds.observe(seconds)

    def batch(self, *, rows: int, requests: int) -> None:
        """Count one batch."""
        self._rows.inc(rows)
        self._batch_rows.observe(rows)
        self._batch_requests.observe(requests)

    def refused(self, rows: int) -> None:
        """Count rows that validation refused."""
        self._refused.inc(rows)

    def watch_queue(self, depth: Callable[[], float]) -> None:
        """Ask for the depth of the queue whenever the text is read."""
        self._queue.set_function(depth)

    def watch_requests(self, count: Callable[[], float]) -> None:
        """Ask for the number of requests in flight whenever the text is read."""
        self._in_flight.set_function(count)

    def serving(self, estimator: str, version: str) -> None:
        """Say which model serves."""
        self._model.clear()
        self._model.labels(estimator, version).set(1)

    def reloaded(self, outcome: str) -> None:
        """Count a reload: ``"changed"``, ``"unchanged"`` or ``"refused"``."""
        self._reloads.labels(outcome).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
