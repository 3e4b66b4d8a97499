"""Models measured side by side on the same test rows: means over seeds, spreads, intervals, ties, costs.

A row is a model under one configuration. Its numbers are means over seeds; the spread over seeds (training noise) and the
interval over test users (sampling noise) stand apart. Rows that a paired bootstrap over users cannot tell from the best
are marked as tied with it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import UserError
from ..evaluation.stats import (
    BootstrapResult,
    Difference,
    Drawn,
    Metric,
    ModelInterval,
    align,
    differences,
    draw,
    paired_bootstrap,
)
from ..records.schema import RunRecord, Slices
from ..records.store import Store
from ..typed import OrNaN

METRICS: tuple[Metric, ...] = ("gauc", "auc", "logloss")
"""With an interval over users."""

Bootstrap = Callable[[Metric, Iterable[str]], BootstrapResult]
"""Metric and labels of rows -> the paired bootstrap of these rows alone."""

Differences = Callable[[Metric, Sequence[tuple[str, str]]], list[Difference]]
"""Metric and pairs of labels -> first minus second, with intervals that hold for all of these pairs at once."""

Draw = Callable[[Metric, Iterable[str]], Drawn]
"""Metric and labels of rows -> each of their seeds on the users that `Bootstrap` draws."""


@dataclass(frozen=True)
class Slice:
    """Quality on a part of the test examples, mean over seeds; None where undefined."""

    n: int
    auc: float | None
    gauc: float | None


@dataclass(frozen=True)
class Row:
    """One model under one configuration."""

    label: str
    """The model's name, with the settings that differ from its defaults."""
    model: str
    family: str
    config_hash: str
    seeds: tuple[int, ...]
    gauc: ModelInterval
    auc: ModelInterval
    logloss: ModelInterval
    gauc_seeds: tuple[OrNaN, ...]
    """One value per seed, NaN where undefined."""
    auc_seeds: tuple[OrNaN, ...]
    means: dict[str, float | None]
    """gauc_unweighted, ne, ece, ndcg@10: mean over seeds."""
    warm_user: Slice
    cold_user: Slice
    warm_item: Slice
    cold_item: Slice
    labels: dict[str, Slice]
    """Further labels that it predicts, on all test examples."""
    tied: bool
    """Not distinguishable from the best by the board's headline metric."""
    parameters_embedding: int
    parameters_dense: int
    flops_per_example: float
    train_seconds: float
    train_cpu_seconds: float
    examples_per_second: float
    latency_ms: float
    peak_memory_mb: float
    best_epochs: tuple[int, ...]
    precision: str
    device: str
    """Of its runs; several are joined by a comma."""

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def training_cost(self) -> float:
        """Seconds: CPU time of all threads on a CPU, which other work on the machine hardly changes; wall time elsewhere."""
        return self.train_cpu_seconds if self.on_cpu else self.train_seconds


@dataclass(frozen=True)
class Measured:
    """Rows in the order of their groups, and what else was found on the way."""

    rows: tuple[Row, ...]
    headline: Literal["gauc", "auc"]
    """What decides ties. GAUC where two test users at least have both labels, and histories are frozen or negatives
    sampled; else AUC: with live histories, GAUC punishes the use of a user's own past (docs/gauc.md)."""
    bootstrap: Bootstrap
    differences: Differences
    draw: Draw


def measure(store: Store, groups: Mapping[str, list[RunRecord]], draws: int) -> Measured:
    """Compare groups of runs, label -> the seeds of one model under one configuration.

    Args:
        draws: of the bootstrap over users.

    Raises:
        UserError: scores or test rows are missing, are not about the same rows, or are not those of the records.
    """
    frames = {name: [store.predictions(record.identity) for record in group] for name, group in groups.items()}
    label, user, scores = align(frames)
    first = next(iter(groups.values()))[0]
    gauc_users = int(test_slices(first)["all"]["gauc_users"] or 0)
    fair = first.config["data"]["test_history"] == "frozen" or sampled(first)
    headline = "gauc" if gauc_users >= 2 and fair else "auc"

    def bootstrap(metric: Metric, names: Iterable[str]) -> BootstrapResult:
        return paired_bootstrap(label, user, {name: scores[name] for name in names}, metric, draws)

    def compare(metric: Metric, pairs: Sequence[tuple[str, str]]) -> list[Difference]:
        named = {name for pair in pairs for name in pair}
        kept = {name: scores[name] for name in scores if name in named}
        return differences(label, user, kept, pairs, metric, draws) if pairs else []

    def draw_seeds(metric: Metric, names: Iterable[str]) -> Drawn:
        return draw(label, user, {name: scores[name] for name in names}, metric, draws)

    results: dict[Metric, BootstrapResult] = {
        metric: bootstrap(metric, groups) for metric in METRICS if gauc_users >= 2 or metric != "gauc"
    }
    results.setdefault("gauc", _undefined(groups))
    _confirm(groups, results)
    rows = tuple(_row(name, group, results, name in results[headline].indistinguishable) for name, group in groups.items())
    return Measured(rows, headline, bootstrap, compare, draw_seeds)


def difference(one: Row, other: Row, metric: Metric, bootstrap: Bootstrap) -> tuple[float, float, float]:
    """Metric of `one` minus that of `other`, with its 95% interval: on the same resampled users, one comparison."""
    pair = bootstrap(metric, (one.label, other.label))
    if pair.best == one.label:
        found = pair.models[other.label]
        return -found.difference, -found.difference_high, -found.difference_low
    found = pair.models[one.label]
    return found.difference, found.difference_low, found.difference_high


def sampled(record: RunRecord) -> bool:
    """Whether its test negatives are sampled, not impressions."""
    return record.config["data"]["test_negatives"] != "exposed"


def test_slices(record: RunRecord) -> Slices:
    """Test metrics of a finished run."""
    assert record.metrics is not None, "a record with status ok has metrics"
    return record.metrics.test


def _undefined(names: Iterable[str]) -> BootstrapResult:
    """In place of a GAUC that no sample of users can give."""
    nothing = ModelInterval(math.nan, math.nan, math.nan, None, math.nan, math.nan, math.nan, math.nan)
    return BootstrapResult("gauc", "", dict.fromkeys(names, nothing), frozenset())


def _confirm(groups: Mapping[str, list[RunRecord]], results: dict[Metric, BootstrapResult]) -> None:
    """Refuse a record whose metrics are not those of the predictions beside it."""
    for metric, result in results.items():
        for name, group in groups.items():
            stored, found = _mean(test_slices(record)["all"][metric] for record in group), result.models[name].point
            if stored is not None and not math.isclose(stored, found, rel_tol=1e-9, abs_tol=1e-12):
                raise UserError(
                    f"{name}: {metric} is {stored} by its records and {found} by its predictions; "
                    "find the run with rankbench score, delete it and run it again"
                )


def _mean(values: Iterable[float | int | None]) -> float | None:
    known = list(values)
    return None if any(value is None for value in known) else statistics.fmean(known)  # type: ignore[arg-type]


def _slice(seeds: list[dict[str, float | int | None]]) -> Slice:
    return Slice(int(seeds[0]["n"] or 0), _mean(s["auc"] for s in seeds), _mean(s["gauc"] for s in seeds))


def _row(label: str, group: list[RunRecord], results: dict[Metric, BootstrapResult], tied: bool) -> Row:
    tests = [test_slices(record) for record in group]
    costs = [record.cost for record in group if record.cost is not None]

    further = [record.metrics.labels for record in group if record.metrics is not None]

    def part(name: str) -> Slice:
        return _slice([test[name] for test in tests])

    def per_seed(metric: str) -> tuple[float, ...]:
        values = (test["all"][metric] for test in tests)
        return tuple(math.nan if value is None else float(value) for value in values)

    return Row(
        label=label,
        model=group[0].identity.model,
        family=group[0].identity.family,
        config_hash=group[0].identity.config_hash,
        seeds=tuple(record.identity.seed for record in group),
        gauc=results["gauc"].models[label],
        auc=results["auc"].models[label],
        logloss=results["logloss"].models[label],
        gauc_seeds=per_seed("gauc"),
        auc_seeds=per_seed("auc"),
        means={key: _mean(test["all"][key] for test in tests) for key in ("gauc_unweighted", "ne", "ece", "ndcg@10")},
        warm_user=part("warm_user"),
        cold_user=part("cold_user"),
        warm_item=part("warm_item"),
        cold_item=part("cold_item"),
        labels={name: _slice([labels[name]["all"] for labels in further]) for name in further[0]},
        tied=tied,
        parameters_embedding=costs[0].parameters_embedding,
        parameters_dense=costs[0].parameters_dense,
        flops_per_example=costs[0].flops_per_example,
        train_seconds=statistics.fmean(cost.train_seconds for cost in costs),
        train_cpu_seconds=statistics.fmean(cost.train_cpu_seconds for cost in costs),
        examples_per_second=statistics.fmean(cost.examples_per_second for cost in costs),
        latency_ms=statistics.fmean(cost.latency_ms_100_candidates for cost in costs),
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        best_epochs=tuple(cost.best_epoch for cost in costs),
        precision=", ".join(sorted({record.precision for record in group})),
        device=", ".join(sorted({record.device for record in group})),
    )
