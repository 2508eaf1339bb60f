"""What is counted, for Prometheus to fetch at `/metrics`."""

from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

from inference.engine import BATCH

__all__ = ["CONTENT_TYPE", "Metrics"]

# Seconds: a small model answers within one millisecond, a crowd's photo takes half a second.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = tuple(1 << power for power in range(BATCH.bit_length()))


class Metrics:
    """The figures of one server. An operation's name is that of the OpenAPI document; a model that is not served, and
    what names none, have an empty one."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        gauge, histogram = partial(Gauge, registry=self.registry), partial(Histogram, registry=self.registry)
        on = ("operation", "model")
        self.requests = counter("ferox_requests", "Requests answered", (*on, "status"))
        self.request_seconds = histogram(
            "ferox_request_seconds", "Seconds from a request to its answer", on, buckets=SECONDS
        )
        self.in_progress = gauge("ferox_requests_in_progress", "Requests that are taken and not answered yet")
        self.batch_faces = histogram("ferox_batch_faces", "Faces in a batch", ("model",), buckets=SIZES)
        self.run_seconds = histogram("ferox_run_seconds", "Seconds that a batch takes", ("model",), buckets=SECONDS)
        self.queue_faces = gauge("ferox_queue_faces", "Faces that wait for a model", ("model",))
        self.replacements = counter(
            "ferox_model_replacements",
            "Artifacts replaced on disk, taken up or refused",
            ("model", "outcome"),
        )

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self.registry)
