"""Models measured side by side on the same test rows: means over seeds, intervals, ties, costs.

A row is a model under one configuration. Its numbers are means over seeds; every interval carries both noises, of test users and
of training (evaluation/stats.py). Rows that may be the best are marked as tied with it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation import slices
from ..evaluation.stats import (
    METRICS,
    Comparison,
    Estimate,
    Metric,
    ModelInterval,
    Predictions,
    Standing,
    align,
    compare,
)
from ..records.schema import RunRecord, Slices
from ..records.view import View
from ..typed import OrNaN

Headline = Literal["request_gauc", "auc"]

HEADLINES: tuple[Headline, ...] = ("request_gauc", "auc")

MEANS = ("ne", "ece", "ece_floor", "request_ndcg@10", "request_mrr")
"""Further metrics of a row, means over seeds."""


@dataclass(frozen=True)
class Slice:
    """Quality on a part of the test examples, mean over seeds with 95% intervals; NaN where undefined."""

    n: int
    request_gauc: Estimate
    auc: Estimate


@dataclass(frozen=True)
class Row:
    """One model under one configuration."""

    label: str
    """The model's name, with the settings that differ from its defaults."""
    model: str
    family: str
    config_hash: str
    seeds: tuple[int, ...]
    request_gauc: ModelInterval
    auc: ModelInterval
    user_gauc: ModelInterval
    logloss: ModelInterval
    request_gauc_seeds: tuple[OrNaN, ...]
    """One value per seed, NaN where undefined."""
    auc_seeds: tuple[OrNaN, ...]
    means: dict[str, OrNaN | None]
    """MEANS."""
    slices: dict[str, Slice]
    """By the names of evaluation/slices.py, `all` left out."""
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
    """Rows in the order of their groups, and what compares them."""

    rows: tuple[Row, ...]
    headline: Headline
    """What orders rows and decides ties: ranking within a request, where it can be judged: see influence.Rows.headline."""
    comparisons: Mapping[Metric, Comparison]
    """All rows together: differences of any pairs follow from them."""

    def differences(self, metric: Metric, pairs: Sequence[tuple[str, str]]) -> list[Estimate]:
        """First minus second row of each pair of labels, with intervals that hold for all of these pairs at once."""
        return self.comparisons[metric].differences(pairs)


def measure(view: View, groups: Mapping[str, list[RunRecord]]) -> Measured:
    """Compare groups of runs, label -> the seeds of one model under one configuration.

    Raises:
        UserError: scores or test rows are missing, are not about the same rows, or are not those of the records.
    """
    frames = {name: [view.predictions(record.identity) for record in group] for name, group in groups.items()}
    predictions = align(frames)
    comparisons: dict[Metric, Comparison] = {metric: compare(predictions, metric) for metric in METRICS}
    _confirm(groups, comparisons)
    headline: Headline = "request_gauc" if comparisons["request_gauc"].trusted else "auc"
    standings: dict[Metric, Standing] = {metric: found.standing() for metric, found in comparisons.items()}
    first = next(iter(frames.values()))[0]
    parts = {name: _slices(predictions, mask) for name, mask in slices.masks(first).items() if name != slices.ALL}
    further = _further_labels(frames)
    rows = tuple(
        _row(
            name,
            group,
            standings,
            name in standings[headline].among_best,
            {part: found[name] for part, found in parts.items()},
            further.get(name, {}),
        )
        for name, group in groups.items()
    )
    return Measured(rows, headline, comparisons)


def sampled(record: RunRecord) -> bool:
    """Whether its test negatives are sampled, not impressions."""
    return record.config["data"]["test_negatives"] != "exposed"


def test_slices(record: RunRecord) -> Slices:
    """Test metrics of a finished run."""
    assert record.metrics is not None, "a record with status ok has metrics"
    return record.metrics.test


def _confirm(groups: Mapping[str, list[RunRecord]], comparisons: Mapping[Metric, Comparison]) -> None:
    """Refuse a record whose metrics are not those of the predictions beside it."""
    for metric, comparison in comparisons.items():
        for name, group in groups.items():
            stored = _mean(test_slices(record)["all"][metric] for record in group)
            found = float(comparison.point[comparison.place(name)])
            if stored is not None and not math.isclose(stored, found, rel_tol=1e-9, abs_tol=1e-12):
                raise UserError(
                    f"{name}: {metric} is {stored} by its records and {found} by its predictions; "
                    "find the run with rankbench score, delete it and run it again"
                )


def _mean(values: Iterable[float | int | None]) -> float | None:
    known = list(values)
    return None if any(value is None for value in known) else statistics.fmean(known)  # type: ignore[arg-type]


def _slices(predictions: Predictions, mask: np.ndarray) -> dict[str, Slice]:
    """Row -> quality on some of the rows."""
    nothing = Estimate(math.nan, math.nan, math.nan)
    if not mask.any():
        return dict.fromkeys(predictions.scores, Slice(0, nothing, nothing))
    part = predictions.part(mask)
    within, over = (compare(part, metric) for metric in HEADLINES)
    return {name: Slice(len(part.label), within.value(name), over.value(name)) for name in predictions.scores}


def _further_labels(frames: Mapping[str, list[pd.DataFrame]]) -> dict[str, dict[str, Slice]]:
    """Row -> further label -> quality on all test examples; rows that predict none are left out."""
    found: dict[str, dict[str, Slice]] = {}
    names = {column.removeprefix("score.") for tables in frames.values() for column in tables[0] if column.startswith("score.")}
    for label in sorted(names):
        tables = {name: of for name, of in frames.items() if f"score.{label}" in of[0]}
        first = next(iter(tables.values()))[0]
        scores = {name: [table[f"score.{label}"].to_numpy(np.float64) for table in of] for name, of in tables.items()}
        truth, user, request = (first[column].to_numpy() for column in (f"label.{label}", "user", "request"))
        asked = Predictions(truth, user, request, scores)
        for name, quality in _slices(asked, np.ones(len(first), dtype=bool)).items():
            found.setdefault(name, {})[label] = quality
    return found


def _row(
    label: str,
    group: list[RunRecord],
    standings: Mapping[Metric, Standing],
    tied: bool,
    parts: dict[str, Slice],
    labels: dict[str, Slice],
) -> Row:
    tests = [test_slices(record) for record in group]
    costs = [record.cost for record in group if record.cost is not None]

    def per_seed(metric: str) -> tuple[float, ...]:
        values = (test["all"][metric] for test in tests)
        return tuple(math.nan if value is None else float(value) for value in values)

    return Row(
        label=label,
        model=group[0].identity.model,
        family=group[0].identity.family,
        config_hash=group[0].identity.config_hash,
        seeds=tuple(record.identity.seed for record in group),
        request_gauc=standings["request_gauc"].models[label],
        auc=standings["auc"].models[label],
        user_gauc=standings["user_gauc"].models[label],
        logloss=standings["logloss"].models[label],
        request_gauc_seeds=per_seed("request_gauc"),
        auc_seeds=per_seed("auc"),
        means={key: _mean(test["all"][key] for test in tests) for key in MEANS},
        slices=parts,
        labels=labels,
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
