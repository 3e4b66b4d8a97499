"""The leaderboard of one data set and split, recomputed from records and predictions, and the sentences that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import UserError
from ..evaluation.cards import shown
from ..evaluation.stats import LEAST_USERS, ModelInterval, Resolution
from ..records.schema import DataFacts, RunRecord
from ..records.view import SHARED, View, shared_settings
from .measured import HEADLINES, Headline, Measured, Row, measure, sampled, test_slices

_SHARED_KEYS = {f"data.{key}" for key in ("dataset", "split", *SHARED)}

TUNED = " (tuned)"
"""What the label of a row with settings that a sweep found has after the model's name."""


@dataclass(frozen=True)
class Board:
    """A leaderboard with everything that must be said beside it."""

    dataset: str
    split: str
    variant: str
    """Its group's, see View.groups; empty for the data set's own settings."""
    facts: DataFacts
    settings: dict[str, Any]
    """The shared data settings."""
    headline: Headline
    """What orders the rows and decides ties, see Measured."""
    rows: tuple[Row, ...]
    """Best first."""
    statements: tuple[str, ...]
    """What follows from the rows, in words."""
    failures: tuple[str, ...]
    request_groups: int
    request_groups_dropped: int
    """(user, request) groups of the test with a single label value: they have no AUC and take no part in request GAUC."""
    resolution: dict[str, Resolution]
    """Metric -> the smallest differences that the board can show."""


def build(view: View) -> Board:
    """The board of all real (not simulated) records of a group, see View.groups.

    Raises:
        UserError: there are none, their splits or data settings differ, or scores or test rows are missing.
    """
    records = [record for record in view.records if not record.simulated]
    every = [record for record in records if record.status == "ok"]
    finished = [record for record in every if view.has_scores(record.identity)]
    if not finished:
        what = "finished run" if not every else "run with scores"
        raise UserError(f"no {what} in {view.store.root}; start with: rankbench run")
    _refuse_mixture(finished)
    groups = _groups(finished)
    found = measure(view, groups)
    headline = found.headline
    rows = sorted(found.rows, key=lambda row: (-getattr(row, headline).point, row.label))
    whole = test_slices(finished[0])["all"]
    return Board(
        dataset=finished[0].identity.dataset,
        split=finished[0].identity.split,
        variant=view.variant,
        facts=finished[0].data,
        settings=shared_settings(finished[0]) | _common(finished),
        headline=headline,
        rows=tuple(rows),
        statements=(
            *about_sampling(finished[0]),
            *_about_headline(rows, headline),
            *_about_quality(rows, found),
            *about_runs(rows, finished),
        ),
        failures=(
            *(f"{_name(r)}: {r.error}" for r in records if r.status == "failed"),
            *(f"{_name(r)}: left out, its scores are not here" for r in every if r not in finished),
        ),
        request_groups=int(whole["request_groups"] or 0),
        request_groups_dropped=int(whole["request_groups_dropped"] or 0),
        resolution={metric: comparison.resolution() for metric, comparison in found.comparisons.items()},
    )


def by_metric(board: Board, metric: Headline) -> Board:
    """The same board ordered, and its ties decided, by `metric`; the sentences stay those of the headline."""
    rows = []
    for row in board.rows:
        found: ModelInterval = getattr(row, metric)
        rows.append(replace(row, tied=found.among_best))
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


def _common(records: list[RunRecord]) -> dict[str, object]:
    """Changed training and data settings that all runs have in common, beyond those that a board always names."""
    return {
        key: value
        for key, value in records[0].changed.items()
        if key not in _SHARED_KEYS
        and not key.startswith("params.")
        and all(record.changed.get(key) == value for record in records)
    }


def _label(record: RunRecord, common: dict[str, object]) -> str:
    """The model and what sets this row apart: settings that all rows share, or that a sweep found, do not name a row."""
    shared = _SHARED_KEYS | common.keys()
    shown = [key for key in record.changed if key not in shared and (record.tuning is None or key.startswith("data."))]
    changed = [f"{key.removeprefix('params.')}={record.changed[key]}" for key in shown]
    tuned = TUNED if record.tuning is not None else ""
    return record.identity.model + tuned + (f" [{', '.join(changed)}]" if changed else "")


def _refuse_mixture(records: list[RunRecord]) -> None:
    first, mine = records[0], shared_settings(records[0])
    for other in records[1:]:
        what, theirs = None, shared_settings(other)
        for name in ("content_hash", "split_hash"):
            if getattr(other.identity, name) != getattr(first.identity, name):
                what = f"{name} {getattr(first.identity, name)[:12]} and {getattr(other.identity, name)[:12]}"
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                what = f"data.{key} {mine.get(key)} and {theirs.get(key)}"
        if what is not None:
            raise UserError(
                f"runs of {first.identity.dataset}@{first.identity.split} cannot share a board: {what} "
                f"({_name(first)} and {_name(other)}); use another --results or delete one of them"
            )


def _name(record: RunRecord) -> str:
    return f"{record.identity.model}/{record.identity.config_hash}/seed-{record.identity.seed}"


def about_sampling(record: RunRecord) -> Iterable[str]:
    """What must be said of sampled test negatives; nothing of impressions."""
    data = record.config["data"]
    if sampled(record):
        yield (
            f"Test negatives are not impressions but sampled items ({data['test_negatives']}, {data['test_negative_rate']} a "
            "positive, the same for every row). Telling liked items from sampled ones is another task than telling them from "
            "what was shown: compare no number here with one of exposed negatives. Positives are left out whose item nobody had "
            f"met earlier{'' if data['repeats'] else ', or that their user had met before'} (docs/negatives.md)."
        )


def _about_headline(rows: list[Row], headline: Headline) -> Iterable[str]:
    if headline == "auc":
        yield f"Fewer than {LEAST_USERS} test users have a request with both labels: rows are ordered and compared by AUC."
    elif max(rows, key=lambda row: row.auc.point).label != rows[0].label:
        best = max(rows, key=lambda row: row.auc.point)
        yield f"Within a request {rows[0].label} is first, over all pairs of examples (AUC) {best.label}."


def _about_quality(rows: list[Row], found: Measured) -> Iterable[str]:
    """The sentences that follow from the predictions: ties, models that do not beat the floors, HSTU against DIN."""
    headline = found.headline
    name = shown(headline)
    tied = [row.label for row in rows[1:] if row.tied]
    if tied:
        yield f"Not distinguishable from the best ({rows[0].label}) by {name}: {', '.join(tied)}."
    elif len(rows) > 1:
        yield f"{rows[0].label} is the best by {name}: no other row may be, at 95% confidence."
    resolution = found.comparisons[headline].resolution()
    if len(rows) > 1 and not math.isnan(resolution.half_width):
        yield (
            f"The smallest difference in {name} that two typical rows can show here is {resolution.half_width:.4f}; a true one "
            f"of {resolution.detectable:.4f} would be shown in 80% of samples."
        )
    yield from _about_floors(rows, HEADLINES if headline == "request_gauc" else ("auc",), found)
    for hstu, din in _named_pairs(rows):
        apart = found.comparisons[headline].difference(hstu.label, din.label)
        verdict = "leaves out zero" if apart.shown else "includes zero: no difference is shown"
        interval = f"{apart.value:+.4f}, 95% interval [{apart.low:+.4f}, {apart.high:+.4f}] over test users and seeds"
        untuned = [row.model for row, other in ((hstu, din), (din, hstu)) if TUNED in other.label and TUNED not in row.label]
        lacks = "".join(f"; {model} has no tuned row here" for model in untuned)
        yield f"{name} of {hstu.label} minus {din.label}: {interval}, which {verdict}{lacks}."


def _named_pairs(rows: list[Row]) -> Iterable[tuple[Row, Row]]:
    """HSTU and DIN with the same changes, or by default. A tuned row without its like stands beside the other's untuned one."""
    hstu, din = ({row.label.removeprefix(name): row for row in rows if row.model == name} for name in ("hstu", "din"))
    for changes in dict.fromkeys((*hstu, *din)):
        untuned = changes.replace(TUNED, "")
        one, other = hstu.get(changes, hstu.get(untuned)), din.get(changes, din.get(untuned))
        if one is not None and other is not None:
            yield one, other


def _about_floors(rows: list[Row], metrics: tuple[Headline, ...], found: Measured) -> Iterable[str]:
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
            apart = found.comparisons[metric].difference(row.label, floor.label)
            if apart.low <= 0:
                interval = f"{shown(metric)} difference {apart.value:+.4f}, 95% interval [{apart.low:+.4f}, {apart.high:+.4f}]"
                verdict = "is NOT above" if apart.value <= 0 else "is not shown to be above"
                yield f"{row.label} {verdict} the best floor, {floor.label}: {interval}."


def about_runs(rows: Sequence[Row], records: Sequence[RunRecord]) -> Iterable[str]:
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
    if len({r.environment.processes for r in records}) > 1:
        yield "Runs differ in how many processes trained together, and with that in the examples of a step (docs/devices.md)."
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
