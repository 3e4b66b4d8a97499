"""Models measured side by side on the same test rows: means over seeds, intervals, who may be the best, costs.

A row is a model under one configuration. Every interval carries both noises, of test users and of training (evaluation/stats.py).
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation import metrics, slices
from ..evaluation.predictions import Predictions, align
from ..evaluation.stats import (
    LEAST_USERS,
    LOWER_IS_BETTER,
    METRICS,
    Comparison,
    Estimate,
    Metric,
    ModelInterval,
    compare,
    verdict,
)
from ..records.schema import RunRecord, Slices
from ..records.view import View
from ..typed import OrNaN, younger
from .costs import flops_per_example, had_room, latency_ms, train_joules, train_seconds
from .statements import Basis, Headline, Pair

HeadlineMetric = Literal["request_gauc", "auc"]
HEADLINES: tuple[HeadlineMetric, ...] = ("request_gauc", "auc")
"""What verdicts are given by: ranking within a request, and all pairs of examples, nearly all of two users."""

FURTHER = ("request_ndcg@10", "request_mrr", "ne", "ece", "ece_floor")
"""Metrics without intervals, mean over seeds."""


@dataclass(frozen=True)
class OfLabel:
    """Quality on a further label, all test examples, mean over seeds; None where undefined."""

    n: int
    auc: float | None
    request_gauc: float | None


@dataclass(frozen=True)
class Row:
    """One model under one configuration."""

    label: str
    """What names the row; no part of it is read back."""
    model: str
    family: str
    tuned: bool
    """Its settings were found by a sweep."""
    changes: dict[str, Any]
    """Settings besides those of the sweep that set the row apart, by dotted key."""
    config_hash: str
    seeds: tuple[int, ...]
    quality: dict[Metric, ModelInterval]
    by_seed: dict[Metric, tuple[OrNaN, ...]]
    """One value per seed."""
    means: dict[str, float | None]
    """Of FURTHER."""
    labels: dict[str, OfLabel]
    """Further labels that it predicts."""
    parameters_embedding: int
    parameters_dense: int
    flops_per_example: float
    comparable: bool
    """Whether every run began on a machine with room, so that times may be compared."""
    train_seconds: float
    """Of a seed, all of its runs together: CPU time of all threads if all were on a CPU, else wall time; so is `latency_ms`."""
    latency_ms: float
    """To score 100 candidates."""
    examples_per_second: float
    peak_memory_mb: float
    best_epochs: tuple[int, ...]
    precisions: tuple[str, ...]
    devices: tuple[str, ...]
    train_joules: float | None = younger(None)
    """Of a seed, as train_seconds: what processors took on a CPU, else accelerators; None unless it is known of every run."""

    @property
    def on_cpu(self) -> bool:
        return self.devices == ("cpu",)


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows in the order of their groups, and all that compares them."""

    rows: tuple[Row, ...]
    margin: float
    predictions: Predictions
    parts: dict[str, np.ndarray]
    """Slice -> bool [test rows]."""
    items: np.ndarray
    """int [test rows]"""
    comparisons: dict[Metric, Comparison]

    @property
    def headline(self) -> HeadlineMetric:
        """Ranking within a request, where enough users have one with both labels."""
        return "request_gauc" if self.comparisons["request_gauc"].users >= LEAST_USERS else "auc"

    @property
    def headlines(self) -> tuple[HeadlineMetric, ...]:
        """What verdicts are given by, the headline first."""
        return HEADLINES if self.headline == "request_gauc" else ("auc",)

    def about_headline(self, whole: Mapping[str, float | int | None]) -> Headline:
        """Why the headline is what it is.

        Args:
            whole: metrics of a run on all test examples.
        """
        users = self.comparisons["request_gauc"].users
        numbers = (int(whole[name] or 0) for name in ("request_groups", "request_rows", "n"))
        return Headline(self.headline, users, *numbers, least_users=LEAST_USERS)

    def pairs(self, metric: Metric, pairs: Sequence[tuple[str, str]], basis: Basis) -> list[Pair]:
        """Of labels, first minus second; the intervals hold for all of these pairs together."""
        found = self.comparisons[metric].differences(pairs)
        return [self._pair(metric, *pair, apart, basis, len(pairs)) for pair, apart in zip(pairs, found, strict=True)]

    def chosen(self, metric: Metric, one: str, other: str) -> Pair:
        """A pair that was chosen by looking at the numbers: its interval holds for all pairs of rows together."""
        every = self._every[metric]
        apart = every.get((one, other))
        if apart is None:
            turned = every[other, one]
            apart = Estimate(-turned.value, -turned.high, -turned.low)
        return self._pair(metric, one, other, apart, "post hoc", len(every))

    def verdict(self, metric: Metric, difference: Estimate) -> Any:
        return verdict(difference.low, difference.high, self.margin, metric in LOWER_IS_BETTER)

    def _pair(self, metric: Metric, one: str, other: str, apart: Estimate, basis: Basis, at_once: int) -> Pair:
        return Pair(one, other, metric, apart, self.verdict(metric, apart), basis, at_once)

    @functools.cached_property
    def _every(self) -> dict[Metric, dict[tuple[str, str], Estimate]]:
        made: dict[Metric, dict[tuple[str, str], Estimate]] = {}
        for metric, comparison in self.comparisons.items():
            pairs = list(itertools.combinations(comparison.names, 2))
            made[metric] = dict(zip(pairs, comparison.differences(pairs), strict=True))
        return made


def measure(
    view: View,
    groups: Mapping[str, Sequence[RunRecord]],
    changes: Mapping[str, dict[str, Any]] | None = None,
    frames: Mapping[str, list[pd.DataFrame]] | None = None,
    side_by_side: Collection[str] = (),
) -> Measured:
    """Compare groups of runs, label -> the seeds of one model under one configuration.

    Args:
        changes: label -> `Row.changes`; none where nothing sets rows apart but their labels.
        frames: label -> test rows with scores of each seed, where these are not all rows of one run each: several runs of a seed
            together, or the rows that several data sets have in common. Metrics are then of these rows.
        side_by_side: labels of groups whose runs of a seed are models for different requests, all of which are kept: their sizes
            are added up. Elsewhere each takes the place of the one before.

    Raises:
        UserError: scores or test rows are missing, are not about the same rows, or are not those of the records.
    """
    own = frames is None
    if frames is None:
        frames = {name: [view.predictions(record.identity) for record in group] for name, group in groups.items()}
    predictions = align(dict(frames))
    comparisons: dict[Metric, Comparison] = {metric: compare(predictions, metric) for metric in METRICS}
    if own:
        _confirm(groups, comparisons)
    quality: dict[str, dict[Metric, ModelInterval]] = {name: {} for name in groups}
    for metric, comparison in comparisons.items():
        for name, found in comparison.standing().models.items():
            quality[name][metric] = found
    rows = tuple(
        _row(name, group, quality[name], (changes or {}).get(name, {}), None if own else frames[name], name in side_by_side)
        for name, group in groups.items()
    )
    margin = min(record.data.margin for group in groups.values() for record in group)
    first = next(iter(frames.values()))[0]
    return Measured(rows, margin, predictions, slices.masks(first), first["item"].to_numpy(), comparisons)


def test_slices(record: RunRecord) -> Slices:
    """Test metrics of a finished run."""
    assert record.metrics is not None, "a record with status ok has metrics"
    return record.metrics.test


def _confirm(groups: Mapping[str, Sequence[RunRecord]], comparisons: Mapping[Metric, Comparison]) -> None:
    """Refuse a record whose metrics are not those of the predictions beside it."""
    for metric, comparison in comparisons.items():
        for name, group in groups.items():
            stored, found = (
                _mean(test_slices(record)["all"][metric] for record in group),
                float(comparison.point[comparison.place(name)]),
            )
            if stored is not None and not math.isclose(stored, found, rel_tol=1e-9, abs_tol=1e-12):
                raise UserError(
                    f"{name}: {metric} is {stored} by its records and {found} by its predictions; "
                    "find the run with rankbench score, delete it and run it again"
                )


def _mean(values: Iterable[float | int | None]) -> float | None:
    known = list(values)
    return None if any(value is None for value in known) else statistics.fmean(known)  # type: ignore[arg-type]


def _label(seeds: Sequence[dict[str, float | int | None]]) -> OfLabel:
    return OfLabel(int(seeds[0]["n"] or 0), _mean(s["auc"] for s in seeds), _mean(s["request_gauc"] for s in seeds))


def _row(
    label: str,
    group: Sequence[RunRecord],
    quality: dict[Metric, ModelInterval],
    changes: dict[str, Any],
    frames: Sequence[pd.DataFrame] | None,
    side_by_side: bool,
) -> Row:
    if frames is None:
        tests = [test_slices(record)["all"] for record in group]
    else:
        tests = [metrics.evaluate(frame)["all"] for frame in frames]
    seeds = tuple(dict.fromkeys(record.identity.seed for record in group))
    costs = [record.cost for record in group if record.cost is not None]
    kept = group[: len(group) // len(seeds)] if side_by_side else group[:1]
    sizes = costs[: len(kept)]
    further = [record.metrics.labels for record in group if record.metrics is not None]

    def by_seed(metric: Metric) -> tuple[float, ...]:
        return tuple(math.nan if test[metric] is None else float(test[metric]) for test in tests)  # type: ignore[arg-type]

    return Row(
        label=label,
        model=group[0].identity.model,
        family=group[0].identity.family,
        tuned=group[0].tuning is not None,
        changes=changes,
        config_hash=group[0].identity.config_hash,
        seeds=seeds,
        quality=quality,
        by_seed={metric: by_seed(metric) for metric in METRICS},
        means={name: _mean(test[name] for test in tests) for name in FURTHER},
        labels={name: _label([labels[name]["all"] for labels in further]) for name in further[0]},
        parameters_embedding=sum(cost.parameters_embedding for cost in sizes),
        parameters_dense=sum(cost.parameters_dense for cost in sizes),
        flops_per_example=flops_per_example(kept),
        comparable=all(map(had_room, group)),
        train_seconds=train_seconds(group) * len(group) / len(seeds),
        latency_ms=latency_ms(group),
        examples_per_second=statistics.fmean(cost.examples_per_second for cost in costs),
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        best_epochs=tuple(cost.best_epoch for cost in costs),
        precisions=tuple(sorted({record.precision for record in group})),
        devices=tuple(sorted({record.device for record in group})),
        train_joules=None if (joules := train_joules(group)) is None else joules * len(group) / len(seeds),
    )
