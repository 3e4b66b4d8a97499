"""What Prometheus is told: requests by outcome, how long they took, what waits, and which model answers."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from .served import Model

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CANDIDATES = (1, 10, 100, 1_000, 10_000)


class Metrics:
    """Of one server; memory and CPU time of the process are among them."""

    def __init__(self, pending: Callable[[], float]) -> None:
        """`pending`: how many requests are computed or wait, asked when Prometheus asks."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("rankbench_requests", "Answers to /score, by status.", ["status"], registry=self.registry)
        self._seconds = Histogram(
            "rankbench_request_seconds", "From the whole body to the answer of 200.", buckets=_SECONDS, registry=self.registry
        )
        self._candidates = Histogram(
            "rankbench_candidates", "Of a request that was answered.", buckets=_CANDIDATES, registry=self.registry
        )
        self._changes = Counter("rankbench_model_changes", "Tries to change the model.", ["result"], registry=self.registry)
        for result in ("changed", "failed"):
            self._changes.labels(result)
        self._model = Info("rankbench_model", "The model that answers.", registry=self.registry)
        self._generation = Gauge("rankbench_model_generation", "1, and one more after each change.", registry=self.registry)
        Gauge("rankbench_pending", "Requests that are computed or wait.", registry=self.registry).set_function(pending)

    def answered(self, status: int) -> None:
        """Count an answer to /score."""
        self._requests.labels(str(status)).inc()

    def scored(self, seconds: float, candidates: int) -> None:
        """Keep what a scored request took."""
        self._seconds.observe(seconds)
        self._candidates.observe(candidates)

    def model_failed(self) -> None:
        """A change that left the model as it was."""
        self._changes.labels("failed").inc()

    def model_is(self, model: Model) -> None:
        """The first model, or one that took the place of another."""
        if model.generation > 1:
            self._changes.labels("changed").inc()
        scorer = model.scorer
        self._model.info({"model": scorer.info.name, "dataset": scorer.data.log.meta.name, "sha256": model.sha256})
        self._generation.set(model.generation)

    def text(self) -> bytes:
        """In Prometheus' own format."""
        return generate_latest(self.registry)
