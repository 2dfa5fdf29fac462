"""What a server did, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_CROPS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts of one server; ``text`` gives them."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._answers = Counter("cmsa_requests", "Requests by their status.", ["status"], registry=registry)
        self._seconds = Histogram(
            "cmsa_request_seconds", "From a request's head to its answer.", buckets=_SECONDS, registry=registry
        )
        self._batches = Histogram("cmsa_batch_crops", "Crops of a batch.", buckets=_CROPS, registry=registry)
        self.waiting = Gauge("cmsa_waiting_requests", "Requests read and not answered yet.", registry=registry)
        self.held = Gauge("cmsa_held_bytes", "Of requests that are read or wait.", registry=registry)
        self.ready = Gauge("cmsa_ready", "Whether the network can run.", registry=registry)
        ProcessCollector(registry=registry)

    def answered(self, status: int, seconds: float) -> None:
        """A request for predictions was answered."""
        self._answers.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def batch(self, crops: int) -> None:
        """A batch begins."""
        self._batches.observe(crops)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)
