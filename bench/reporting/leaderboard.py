"""The leaderboard of one data set and split, recomputed from records and predictions.

A row is a model under one configuration. Its numbers are means over seeds; the spread over seeds (training noise) and the
interval over test users (sampling noise) stand apart. Rows that a paired bootstrap over users cannot tell from the best
are marked as tied with it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import UserError
from ..evaluation.stats import BootstrapResult, Metric, ModelInterval, align, paired_bootstrap
from ..records.schema import DataFacts, RunRecord, Slices
from ..records.store import Store

SHARED = ("dataset", "split", "history_length", "time", "feedback_delay", "test_history", "test_negatives", "test_negative_rate")
"""Data settings that decide what a model may see and what it is asked; all rows of a board have the same."""

METRICS: tuple[Metric, ...] = ("gauc", "auc", "logloss")
"""With an interval over users."""

Bootstrap = Callable[[Metric, Iterable[str]], BootstrapResult]
"""Metric and labels of rows -> the paired bootstrap of these rows alone."""


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
    """One value per seed, NaN where undefined."""
    auc_seeds: tuple[float, ...]
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
class Board:
    """A leaderboard with everything that must be said beside it."""

    dataset: str
    split: str
    facts: DataFacts
    settings: dict[str, Any]
    """The shared data settings."""
    headline: Literal["gauc", "auc"]
    """What orders the rows and decides ties. GAUC where two test users at least have both labels, and histories are frozen or
    negatives sampled; else AUC: with live histories, GAUC punishes the use of a user's own past (docs/gauc.md)."""
    rows: tuple[Row, ...]
    """Best first."""
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
        UserError: there are none, their splits or data settings differ, or scores or test rows are missing.
    """
    records = [record for record in store.records(dataset, split) if not record.simulated]
    every = [record for record in records if record.status == "ok"]
    finished = [record for record in every if store.has_scores(record.identity)]
    if not finished:
        what = "finished run" if not every else "run with scores"
        raise UserError(f"no {what} of {dataset}@{split} in {store.root}; start with: rankbench run --dataset {dataset}")
    _refuse_mixture(finished)
    groups = _groups(finished)
    frames = {name: [store.predictions(record.identity) for record in group] for name, group in groups.items()}
    label, user, scores = align(frames)
    whole = _test(finished[0])["all"]
    gauc_users = int(whole["gauc_users"] or 0)
    sampled = _sampled(finished[0])
    frozen = finished[0].config["data"]["test_history"] == "frozen"
    headline = "gauc" if gauc_users >= 2 and (frozen or sampled) else "auc"

    def bootstrap(metric: Metric, names: Iterable[str]) -> BootstrapResult:
        return paired_bootstrap(label, user, {name: scores[name] for name in names}, metric, draws)

    results: dict[Metric, BootstrapResult] = {
        metric: bootstrap(metric, groups) for metric in METRICS if gauc_users >= 2 or metric != "gauc"
    }
    results.setdefault("gauc", _undefined(groups))
    _confirm(groups, results)
    rows = [_row(name, group, results, name in results[headline].indistinguishable) for name, group in groups.items()]
    rows.sort(key=lambda row: (-getattr(row, headline).point, row.label))
    return Board(
        dataset=dataset,
        split=split,
        facts=finished[0].data,
        settings=_shared(finished[0]) | _common(finished),
        headline=headline,
        rows=tuple(rows),
        statements=(
            *_about_sampling(finished[0]),
            *_about_headline(rows, headline, frozen),
            *_about_quality(rows, headline, bootstrap),
            *_about_runs(rows, finished),
        ),
        failures=(
            *(f"{_name(r)}: {r.error}" for r in records if r.status == "failed"),
            *(f"{_name(r)}: left out, its scores are not here" for r in every if r not in finished),
        ),
        gauc_users=gauc_users,
        gauc_users_dropped=int(whole["gauc_users_dropped"] or 0),
        draws=draws,
    )


def by_metric(board: Board, metric: Literal["gauc", "auc"]) -> Board:
    """The same board ordered, and its ties decided, by `metric`; the sentences stay those of the headline."""
    rows = []
    for row in board.rows:
        found: ModelInterval = getattr(row, metric)
        rows.append(replace(row, tied=found.difference_low <= 0 <= found.difference_high))
    rows.sort(key=lambda row: (-getattr(row, metric).point, row.label))
    return replace(board, headline=metric, rows=tuple(rows))


def _groups(records: list[RunRecord]) -> dict[str, list[RunRecord]]:
    """Label -> the seeds of one model under one configuration; a label of several configurations gets their hashes."""
    cells: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        cells.setdefault((record.identity.model, record.identity.config_hash), []).append(record)
    common = _common(records)
    labels = [_label(group[0], common) for group in cells.values()]
    return {
        label if labels.count(label) == 1 else f"{label} #{config_hash}": group
        for label, ((_, config_hash), group) in zip(labels, cells.items(), strict=True)
    }


def _shared(record: RunRecord) -> dict[str, object]:
    """The settings SHARED of a run, beyond data set and split. Sampled test negatives are named only where there are any."""
    named = SHARED[2:] if _sampled(record) else SHARED[2:-2]
    return {key: record.config["data"][key] for key in named}


def _sampled(record: RunRecord) -> bool:
    return record.config["data"].get("test_negatives", "exposed") not in ("default", "exposed")


def _common(records: list[RunRecord]) -> dict[str, object]:
    """Changed training and data settings that all runs have in common, beyond those that a board always names."""
    named = {f"data.{key}" for key in SHARED}
    return {
        key: value
        for key, value in records[0].changed.items()
        if key not in named and not key.startswith("params.") and all(record.changed.get(key) == value for record in records)
    }


def _label(record: RunRecord, common: dict[str, object]) -> str:
    """The model and what sets this row apart: settings that all rows share, or that a sweep found, do not name a row."""
    shared = {f"data.{key}" for key in SHARED} | common.keys()
    shown = [key for key in record.changed if key not in shared and (record.tuning is None or key.startswith("data."))]
    changed = [f"{key.removeprefix('params.')}={record.changed[key]}" for key in shown]
    tuned = " (tuned)" if record.tuning is not None else ""
    return record.identity.model + tuned + (f" [{', '.join(changed)}]" if changed else "")


def _test(record: RunRecord) -> Slices:
    assert record.metrics is not None, "a record with status ok has metrics"
    return record.metrics.test


def _undefined(names: Iterable[str]) -> BootstrapResult:
    """In place of a GAUC that no sample of users can give."""
    nothing = ModelInterval(math.nan, math.nan, math.nan, None, math.nan, math.nan, math.nan, math.nan)
    return BootstrapResult("gauc", "", dict.fromkeys(names, nothing), frozenset())


def _confirm(groups: dict[str, list[RunRecord]], results: dict[Metric, BootstrapResult]) -> None:
    """Refuse a record whose metrics are not those of the predictions beside it."""
    for metric, result in results.items():
        for name, group in groups.items():
            stored, found = _mean(_test(record)["all"][metric] for record in group), result.models[name].point
            if stored is not None and not math.isclose(stored, found, rel_tol=1e-9, abs_tol=1e-12):
                raise UserError(
                    f"{name}: {metric} is {stored} by its records and {found} by its predictions; "
                    "find the run with rankbench score, delete it and run it again"
                )


def _refuse_mixture(records: list[RunRecord]) -> None:
    first = records[0]
    for other in records[1:]:
        what = None
        if other.data.split_hash != first.data.split_hash:
            what = f"split hash {first.data.split_hash[:12]} and {other.data.split_hash[:12]}"
        mine, theirs = _shared(first), _shared(other)
        for key in SHARED[2:]:
            if mine.get(key) != theirs.get(key):
                what = f"data.{key} {mine.get(key, 'exposed')} and {theirs.get(key, 'exposed')}"
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


def _slice(seeds: list[dict[str, float | int | None]]) -> Slice:
    return Slice(int(seeds[0]["n"] or 0), _mean(s["auc"] for s in seeds), _mean(s["gauc"] for s in seeds))


def _row(label: str, group: list[RunRecord], results: dict[Metric, BootstrapResult], tied: bool) -> Row:
    tests = [_test(record) for record in group]
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


def _difference(one: Row, other: Row, metric: Metric, bootstrap: Bootstrap) -> tuple[float, float, float]:
    """Metric of `one` minus that of `other`, with its 95% interval: on the same resampled users, one comparison."""
    pair = bootstrap(metric, (one.label, other.label))
    if pair.best == one.label:
        found = pair.models[other.label]
        return -found.difference, -found.difference_high, -found.difference_low
    found = pair.models[one.label]
    return found.difference, found.difference_low, found.difference_high


def _about_sampling(record: RunRecord) -> Iterable[str]:
    data = record.config["data"]
    if _sampled(record):
        yield (
            f"Test negatives are not impressions but sampled items ({data['test_negatives']}, {data['test_negative_rate']} a "
            "positive, the same for every row). Telling liked items from sampled ones is another task than telling them from "
            "what was shown: compare no number here with one of exposed negatives. Positives are left out whose item nobody had "
            f"met earlier{'' if data['repeats'] else ', or that their user had met before'} (docs/negatives.md)."
        )


def _about_headline(rows: list[Row], headline: str, frozen: bool) -> Iterable[str]:
    if headline == "gauc":
        return
    if math.isnan(rows[0].gauc.point):
        yield "Fewer than two test users have both labels, so there is no GAUC: rows are ordered and compared by AUC."
    elif not frozen:
        yield (
            "Rows are ordered and compared by AUC. Histories are live: a test example sees its user's earlier test labels. "
            "GAUC asks only users with both labels, whose later labels then tend to be the opposite of their earlier ones, and "
            "so punishes every model that reads the user's past (docs/gauc.md); data.test_history=frozen has no such effect."
        )
        own = next((row for row in rows if row.model == "own-rate"), None)
        if own is not None:
            numbers = f"AUC {own.auc.point:.4f}, GAUC {own.gauc.point:.4f}"
            yield f"The size of that effect: own-rate, the user's own past rate as a score, has {numbers}."


def _about_quality(rows: list[Row], headline: Literal["gauc", "auc"], bootstrap: Bootstrap) -> Iterable[str]:
    """The sentences that follow from the predictions: ties, models that do not beat the floors, HSTU against DIN."""
    shown = headline.upper()
    tied = [row.label for row in rows[1:] if row.tied]
    if tied:
        yield f"Not distinguishable from the best ({rows[0].label}) by {shown}: {', '.join(tied)}."
    elif len(rows) > 1:
        yield f"{rows[0].label} is the best by {shown}; the intervals of all differences to it leave out zero."
    yield from _about_floors(rows, ("gauc", "auc") if headline == "gauc" else ("auc",), bootstrap)
    by_label = {row.label: row for row in rows}
    for hstu in rows:
        # Alike but for the model: both by default, or both with the same changes.
        din = by_label.get("din" + hstu.label.removeprefix("hstu"))
        if hstu.model == "hstu" and din is not None:
            value, low, high = _difference(hstu, din, headline, bootstrap)
            verdict = "holds zero: no difference is shown" if low <= 0 <= high else "leaves out zero"
            interval = f"{value:+.4f}, 95% interval [{low:+.4f}, {high:+.4f}] over test users"
            yield f"{shown} of {hstu.label} minus {din.label}: {interval}, which {verdict}."


def _about_floors(rows: list[Row], metrics: tuple[Metric, ...], bootstrap: Bootstrap) -> Iterable[str]:
    floors = [row for row in rows if row.family == "floor"]
    if not floors:
        yield "No floor was run, so it is not shown that any of these models beats a trivial one."
        return
    for metric in metrics:
        floor = max(floors, key=lambda row: getattr(row, metric).point)
        for row in rows:
            # Where even the two intervals are disjoint, the paired one leaves out zero.
            if row.family == "floor" or getattr(row, metric).low > getattr(floor, metric).high:
                continue
            value, low, high = _difference(row, floor, metric, bootstrap)
            if low <= 0:
                interval = f"{metric.upper()} difference {value:+.4f}, 95% interval [{low:+.4f}, {high:+.4f}]"
                verdict = "is NOT above" if value <= 0 else "is not shown to be above"
                yield f"{row.label} {verdict} the best floor, {floor.label}: {interval}."


def _about_runs(rows: list[Row], records: list[RunRecord]) -> Iterable[str]:
    """The sentences that follow from how the runs were made: seeds, machines, code, what is reachable."""
    if len({len(row.seeds) for row in rows}) > 1:
        counts = ", ".join(f"{row.label} {len(row.seeds)}" for row in rows)
        few, many = (extreme(len(row.seeds) for row in rows) for extreme in (min, max))
        yield f"Rows differ in their number of seeds ({few} to {many}): {counts}."
    single = [row.label for row in rows if len(row.seeds) == 1]
    if single:
        yield f"One seed, so that training noise is not measured: {', '.join(single) if len(single) < len(rows) else 'all rows'}."
    machines = {(r.device, r.environment.accelerator, r.environment.cpu, r.environment.threads) for r in records}
    if len(machines) > 1:
        names = sorted(f"{device} ({accelerator or cpu}, {threads} threads)" for device, accelerator, cpu, threads in machines)
        yield f"Times and memory of different machines are not comparable; these runs come from {'; '.join(names)}."
    # A benchmark that uses every core itself has a load of one a core and a little more.
    busy = sum(r.cost is not None and r.cost.load_average > 1.25 * r.environment.cores for r in records)
    if busy:
        yield f"{busy} of {len(records)} runs began on a machine with more work than cores: their times are too long to compare."
    commits = sorted({(r.environment.git_commit or "an installed package")[:20] for r in records})
    if len(commits) > 1:
        yield f"The runs were made by different versions of the code: {', '.join(commits)}."
    if any(r.environment.git_dirty for r in records):
        yield "Some runs were made by code with uncommitted changes."
    if records[0].data.bayes_auc is not None:
        yield f"The best reachable AUC over all events of this simulated data is {records[0].data.bayes_auc:.4f}."
