"""The leaderboard of one data set and split, recomputed from records and predictions.

A row is a model under one configuration. Its numbers are means over seeds; the spread over seeds (training noise) and the
interval over test users (sampling noise) stand apart. Rows that a paired bootstrap over users cannot tell from the best
are marked as tied with it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UserError
from ..evaluation.stats import BootstrapResult, ModelInterval, align, paired_bootstrap
from ..records.schema import DataFacts, RunRecord
from ..records.store import Store

SHARED = ("dataset", "split", "history_length", "time", "feedback_delay")
"""Data settings that decide what a model may see; all rows of a board have the same."""


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
    gauc_seeds: tuple[float, ...]
    """One value per seed."""
    means: dict[str, float | None]
    """gauc_unweighted, ne, ece, ndcg@10: mean over seeds."""
    warm_user: Slice
    cold_user: Slice
    warm_item: Slice
    cold_item: Slice
    tied: bool
    """Not distinguishable from the best by GAUC."""
    parameters_embedding: int
    parameters_dense: int
    train_seconds: float
    train_cpu_seconds: float
    examples_per_second: float
    latency_ms: float
    peak_memory_mb: float
    best_epochs: tuple[int, ...]
    precision: str
    device: str


@dataclass(frozen=True)
class Board:
    """A leaderboard with everything that must be said beside it."""

    dataset: str
    split: str
    facts: DataFacts
    settings: dict[str, object]
    """The shared data settings."""
    rows: tuple[Row, ...]
    """Best GAUC first."""
    statements: tuple[str, ...]
    """What follows from the rows, in words."""
    failures: tuple[str, ...]
    gauc_users: int
    gauc_users_dropped: int
    """Test users with a single label value: they have no AUC and take no part in GAUC."""
    draws: int


def build(store: Store, dataset: str, split: str, draws: int = 1000) -> Board:
    """The board of all real (not simulated) records of a data set and split.

    Raises:
        UserError: there are none, their splits or data settings differ, or predictions are missing.
    """
    records = [record for record in store.records(dataset, split) if not record.simulated]
    finished = [record for record in records if record.status == "ok"]
    if not finished:
        raise UserError(f"no finished run of {dataset}@{split} in {store.root}; start with: rankbench run --dataset {dataset}")
    _refuse_mixture(finished)
    groups: dict[str, list[RunRecord]] = {}
    for record in finished:
        groups.setdefault(_label(record), []).append(record)
    frames = {label: [store.predictions(record.identity) for record in group] for label, group in groups.items()}
    label, user, scores = align(frames)
    results = {metric: paired_bootstrap(label, user, scores, metric, draws) for metric in ("gauc", "auc", "logloss")}
    rows = sorted((_row(name, group, results) for name, group in groups.items()), key=lambda row: (-row.gauc.point, row.label))
    assert finished[0].metrics is not None
    whole = finished[0].metrics.test["all"]
    return Board(
        dataset=dataset,
        split=split,
        facts=finished[0].data,
        settings={key: finished[0].config["data"][key] for key in SHARED[2:]},
        rows=tuple(rows),
        statements=tuple(_statements(rows, label, user, scores, results["gauc"], draws)),
        failures=tuple(f"{_label(r)} seed {r.identity.seed}: {r.error}" for r in records if r.status == "failed"),
        gauc_users=int(whole["gauc_users"] or 0),
        gauc_users_dropped=int(whole["gauc_users_dropped"] or 0),
        draws=draws,
    )


def _label(record: RunRecord) -> str:
    """Data settings are shared by a board's rows, so only the model's own changes name a row."""
    shared = {f"data.{key}" for key in SHARED}
    changed = [f"{key.removeprefix('params.')}={value}" for key, value in record.changed.items() if key not in shared]
    return record.identity.model + (f" [{', '.join(changed)}]" if changed else "")


def _refuse_mixture(records: list[RunRecord]) -> None:
    first = records[0]
    for other in records[1:]:
        what = None
        if other.data.split_hash != first.data.split_hash:
            what = f"split hash {first.data.split_hash[:12]} and {other.data.split_hash[:12]}"
        for key in SHARED[2:]:
            if other.config["data"][key] != first.config["data"][key]:
                what = f"data.{key} {first.config['data'][key]} and {other.config['data'][key]}"
        if what is not None:
            raise UserError(
                f"runs of {first.identity.dataset}@{first.identity.split} cannot share a board: {what} "
                f"({_name(first)} and {_name(other)}); use another --results or delete one of them"
            )


def _name(record: RunRecord) -> str:
    return f"{record.identity.model}/{record.identity.config_hash}/seed-{record.identity.seed}"


def _mean(values: Iterable[float | int | None]) -> float | None:
    known = list(values)
    return None if any(value is None for value in known) else statistics.fmean(known)  # type: ignore[arg-type]


def _row(label: str, group: list[RunRecord], results: dict[str, BootstrapResult]) -> Row:
    tests = [record.metrics.test for record in group if record.metrics is not None]
    costs = [record.cost for record in group if record.cost is not None]

    def part(name: str) -> Slice:
        slices = [test[name] for test in tests]
        return Slice(int(slices[0]["n"] or 0), _mean(s["auc"] for s in slices), _mean(s["gauc"] for s in slices))

    return Row(
        label=label,
        model=group[0].identity.model,
        family=group[0].identity.family,
        config_hash=group[0].identity.config_hash,
        seeds=tuple(record.identity.seed for record in group),
        gauc=results["gauc"].models[label],
        auc=results["auc"].models[label],
        logloss=results["logloss"].models[label],
        gauc_seeds=tuple(float(test["all"]["gauc"] or float("nan")) for test in tests),
        means={key: _mean(test["all"][key] for test in tests) for key in ("gauc_unweighted", "ne", "ece", "ndcg@10")},
        warm_user=part("warm_user"),
        cold_user=part("cold_user"),
        warm_item=part("warm_item"),
        cold_item=part("cold_item"),
        tied=label in results["gauc"].indistinguishable,
        parameters_embedding=costs[0].parameters_embedding,
        parameters_dense=costs[0].parameters_dense,
        train_seconds=statistics.fmean(cost.train_seconds for cost in costs),
        train_cpu_seconds=statistics.fmean(cost.train_cpu_seconds for cost in costs),
        examples_per_second=statistics.fmean(cost.examples_per_second for cost in costs),
        latency_ms=statistics.fmean(cost.latency_ms_100_candidates for cost in costs),
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        best_epochs=tuple(cost.best_epoch for cost in costs),
        precision=group[0].precision,
        device=group[0].device,
    )


def _statements(
    rows: list[Row], label: object, user: object, scores: dict[str, list], gauc: BootstrapResult, draws: int
) -> Iterable[str]:
    """The sentences of a board: ties, models below the floors, HSTU against DIN, unequal seeds."""
    tied = [row.label for row in rows if row.tied and row.label != gauc.best]
    if tied:
        yield f"Not distinguishable from the best ({gauc.best}) by GAUC: {', '.join(tied)}."
    elif len(rows) > 1:
        yield f"{gauc.best} is the best by GAUC; the intervals of all differences to it leave out zero."

    def difference(one: str, other: str) -> ModelInterval:
        """Of `other` to `one`, on the same resampled users; a pair has no multiple comparisons."""
        pair = paired_bootstrap(label, user, {name: scores[name] for name in (one, other)}, "gauc", draws)  # type: ignore[arg-type]
        return pair.models[other if pair.best == one else one]

    floors = [row for row in rows if row.family == "floor"]
    if floors:
        floor = floors[0]
        for row in rows:
            if row.family == "floor":
                continue
            against = difference(row.label, floor.label)
            if row.gauc.point <= floor.gauc.point or against.difference_high >= 0:
                yield (
                    f"{row.label} is NOT above the best floor, {floor.label}: GAUC {row.gauc.point:.4f} against {floor.gauc.point:.4f}, "
                    f"difference [{against.difference_low:+.4f}, {against.difference_high:+.4f}] from the better to the worse."
                )
    by_model = {row.label: row for row in rows}
    if "hstu" in by_model and "din" in by_model:
        better, worse = sorted((by_model["hstu"], by_model["din"]), key=lambda row: -row.gauc.point)
        against = difference(better.label, worse.label)
        interval = f"{-against.difference:+.4f}, 95% interval [{-against.difference_high:+.4f}, {-against.difference_low:+.4f}]"
        verdict = "which leaves out zero" if against.difference_high < 0 else "which holds zero: no difference is shown"
        yield f"GAUC of {better.label} minus {worse.label}: {interval} over test users, {verdict}."
    counts = {len(row.seeds) for row in rows}
    if len(counts) > 1:
        yield f"Rows differ in their number of seeds ({min(counts)} to {max(counts)})."
