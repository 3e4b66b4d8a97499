"""The leaderboard of one group of runs, recomputed from records and predictions, and the statements that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import UserError
from ..evaluation.stats import Metric
from ..records.rounded import rounded
from ..records.schema import DataFacts, RunRecord
from ..records.view import View, shared_settings
from .comparison import HeadlineMetric, Measured, Row, measure, test_slices
from .costs import compare_costs
from .declared import Declarations, Place
from .parts import SliceOfTest, parts
from .row_labels import chosen_for_all, common_changes, rows_of
from .run_facts import Groups, about_runs, about_sampling
from .statements import (
    AgainstFloor,
    AucPairs,
    Best,
    CutWinners,
    Disagreement,
    Families,
    Mismatch,
    MissingFamily,
    NoFloor,
    Pair,
    Smallest,
    Statement,
    Untuned,
)

QUESTION = ("hstu", "din")
"""Models that every board compares where it has them: the names of the two families."""


FAMILIES: tuple[str, ...] = ("generative", "unified", "classical", "floor")
"""In the order in which readers look for them."""


@dataclass(frozen=True)
class Failure:
    """A run that is no part of its board."""

    model: str
    config_hash: str
    seed: int
    why: Literal["failed", "stopped", "no scores"]
    """stopped: by a limit of the command that ran it."""
    error: str
    """Of a run without a result."""


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
    headline: HeadlineMetric
    """What orders the rows."""
    headlines: tuple[HeadlineMetric, ...]
    """What verdicts are given by, the headline first."""
    margin: float
    """Differences up to it matter to nobody."""
    rows: tuple[Row, ...]
    """Best first."""
    statements: tuple[Statement, ...]
    parts: tuple[SliceOfTest, ...]
    """Slices of the test examples by each of the headlines."""
    failures: tuple[Failure, ...]
    request_groups: int
    request_groups_dropped: int
    """(user, request) groups with a single label value: they have no AUC and take no part in ranking within a request."""
    users: dict[Metric, int]
    """Users that each metric depends on."""

    def best(self, family: str, metric: HeadlineMetric | None = None) -> Row | None:
        """The row of a family with the best value."""
        of = metric or self.headline
        return max((row for row in self.rows if row.family == family), key=lambda row: _value(row, of), default=None)

    def best_of_families(self, metric: HeadlineMetric) -> list[Row]:
        """The best row of each family that the board has."""
        return [row for family in FAMILIES if (row := self.best(family, metric)) is not None]

    def by(self, metric: HeadlineMetric) -> Board:
        """The same board with its rows ordered by `metric`; what it says stays the same."""
        return replace(self, headline=metric, rows=_ordered(self.rows, metric))


def build(view: View) -> Board:
    """The board of all real (not simulated) records of a group, see View.groups.

    Raises:
        UserError: there are none, their data or settings differ, scores or test rows are missing, or declared.yaml is broken.
    """
    records = [record for record in view.records if not record.simulated]
    every = [record for record in records if record.status == "ok"]
    finished = _finished(view)
    groups, changes = rows_of(finished)
    found = measure(view, groups, changes)
    rows = _ordered(found.rows, found.headline)
    identity, whole = finished[0].identity, test_slices(finished[0])["all"]
    place = (identity.dataset, identity.split, view.variant, chosen_for_all(finished))
    declared = _declared(found, groups, Declarations.near(view.store.root), place)
    families: dict[HeadlineMetric, Families | MissingFamily] = {metric: _families(found, metric) for metric in found.headlines}
    cut = tuple(row.label for row in rows if any(record.tuning and record.tuning.cut for record in groups[row.label]))
    answered = [answer.pair for answer in families.values() if isinstance(answer, Families)]
    board = Board(
        dataset=identity.dataset,
        split=identity.split,
        variant=view.variant,
        facts=finished[0].data,
        settings=shared_settings(finished[0]) | common_changes(finished),
        headline=found.headline,
        headlines=found.headlines,
        margin=found.margin,
        rows=rows,
        statements=(
            *about_sampling(finished[0]),
            *_about_families(rows, families),
            *_about_unified(found),
            *declared,
            *_about_question(found, [*declared, *answered]),
            *(statement for metric in found.headlines for statement in _about_quality(found, metric)),
            *_about_costs(answered, groups),
            found.about_headline(whole),
            AucPairs(_number(whole["auc_pairs_within_user"]), _number(whole["auc_pairs_within_request"])),
            *([] if any(row.tuned for row in rows) else [Untuned()]),
            *([CutWinners(cut)] if cut else []),
            *([Mismatch(finished[0].data.mismatch)] if any(map(_validated, finished)) else []),
            *about_runs({row.label: groups[row.label] for row in rows}),
        ),
        parts=tuple(
            part for metric in found.headlines for part in parts(found, metric, _of_parts(families[metric], declared, metric))
        ),
        failures=(
            *(_failure(record, record.status) for record in records if record.status != "ok"),
            *(_failure(record, "no scores") for record in every if record not in finished),
        ),
        request_groups=int(whole["request_groups"] or 0),
        request_groups_dropped=int(whole["request_groups_dropped"] or 0),
        users={metric: comparison.users for metric, comparison in found.comparisons.items()},
    )
    # All that is written and drawn follows from numbers that are the same on every processor.
    return rounded(board)


def over_datasets(boards: Iterable[Board]) -> dict[str, dict[str, float]]:
    """Data set -> row -> headline metric, for mean ranks: of each data set the board with the most rows."""
    largest: dict[str, Board] = {}
    for board in boards:
        if board.dataset not in largest or len(board.rows) > len(largest[board.dataset].rows):
            largest[board.dataset] = board
    return {name: {row.label: row.quality[board.headline].point for row in board.rows} for name, board in largest.items()}


def _number(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


def _value(row: Row, metric: Metric) -> float:
    value = row.quality[metric].point
    return -math.inf if math.isnan(value) else value


def _ordered(rows: Iterable[Row], metric: HeadlineMetric) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-_value(row, metric), row.label)))


def groups_of(view: View) -> dict[str, list[RunRecord]]:
    """Label -> runs, of each row that the board of a group has.

    Raises:
        UserError: there are none, or their data or settings differ.
    """
    return rows_of(_finished(view))[0]


def _finished(view: View) -> list[RunRecord]:
    every = [record for record in view.records if record.status == "ok" and not record.simulated]
    finished = [record for record in every if view.has_scores(record.identity)]
    if not finished:
        what = "finished run" if not every else "run with scores"
        raise UserError(f"no {what} in {view.store.root}; start with: rankbench run")
    _refuse_mixture(finished)
    return finished


def _failure(record: RunRecord, why: Literal["failed", "stopped", "no scores"]) -> Failure:
    identity = record.identity
    return Failure(identity.model, identity.config_hash, identity.seed, why, record.error or "")


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
                f"({_run(first)} and {_run(other)}); use another --results or delete one of them"
            )


def _run(record: RunRecord) -> str:
    return f"{record.identity.model}/{record.identity.config_hash}/seed-{record.identity.seed}"


def _declared(found: Measured, groups: Groups, declarations: Declarations, place: Place) -> list[Pair]:
    """Pairs of declared.yaml whose rows are here. Those that hold count together; one that came too late is post hoc."""
    here = [entry for entry in declarations.of(place) if set(entry.pair) <= groups.keys() and entry.metric in found.headlines]
    before = {entry: declarations.before(entry, [run for label in entry.pair for run in groups[label]]) for entry in here}
    pairs = [
        pair
        for metric in found.headlines
        for pair in found.pairs(metric, [entry.pair for entry in here if before[entry] and entry.metric == metric], "declared")
    ]
    return [*pairs, *(found.chosen(entry.metric, *entry.pair) for entry in here if not before[entry])]


def _families(found: Measured, metric: HeadlineMetric) -> Families | MissingFamily:
    rows = _ordered(found.rows, metric)
    best = {family: next((row for row in rows if row.family == family), None) for family in ("generative", "classical", "floor")}
    generative, classical, floor = best.values()
    if generative is None or classical is None:
        return MissingFamily("generative" if generative is None else "classical")
    above = floor is not None and _value(floor, metric) > max(_value(generative, metric), _value(classical, metric))
    return Families(found.chosen(metric, generative.label, classical.label), floor.label if floor and above else None)


def _about_families(rows: Sequence[Row], families: Mapping[HeadlineMetric, Families | MissingFamily]) -> Iterable[Statement]:
    """Where the two headlines disagree, that is said first."""
    answers = [answer for answer in families.values() if isinstance(answer, Families)]
    if len(answers) < len(families):
        yield next(answer for answer in families.values() if isinstance(answer, MissingFamily))
        return
    if len({answer.pair.verdict for answer in answers}) > 1:
        yield Disagreement(answers[0].pair, answers[1].pair)
    yield from answers


def _about_unified(found: Measured) -> Iterable[Pair]:
    """The best row that mixes fields and events in one backbone, against the best of both families of the question."""
    for metric in found.headlines:
        rows = _ordered(found.rows, metric)
        unified = next((row for row in rows if row.family == "unified"), None)
        for family in ("classical", "generative"):
            other = next((row for row in rows if row.family == family), None)
            if unified is not None and other is not None:
                yield found.chosen(metric, unified.label, other.label)


def _about_question(found: Measured, before: Sequence[Pair]) -> Iterable[Pair]:
    """What no statement `before` compares: HSTU and DIN with the same changes, or by default.

    A tuned row whose like is not tuned stands beside the untuned one.
    """
    said = {(pair.metric, frozenset((pair.one, pair.other))) for pair in before}
    for metric in found.headlines:
        for one, other in _like(found.rows, *QUESTION):
            if (metric, frozenset((one.label, other.label))) not in said:
                pair = found.chosen(metric, one.label, other.label)
                untuned = tuple(row.label for row, beside in ((one, other), (other, one)) if beside.tuned and not row.tuned)
                yield Pair(pair.one, pair.other, metric, pair.difference, pair.verdict, "post hoc", pair.at_once, untuned)


def _like(rows: Sequence[Row], first: str, second: str) -> Iterable[tuple[Row, Row]]:
    """Pairs of rows of two models with the same changes; where only one is tuned, it stands beside the other's untuned row."""
    ones, others = ([row for row in rows if row.model == model] for model in (first, second))

    def find(row: Row, among: Sequence[Row]) -> Row | None:
        alike = [other for other in among if other.changes == row.changes]
        return next((other for other in alike if other.tuned == row.tuned), alike[0] if row.tuned and alike else None)

    pairs = {(one.label, other.label): (one, other) for one in ones if (other := find(one, others)) is not None}
    pairs |= {(one.label, other.label): (one, other) for other in others if (one := find(other, ones)) is not None}
    return pairs.values()


def _about_quality(found: Measured, metric: HeadlineMetric) -> Iterable[Statement]:
    """Who may be the best, what could be shown at all, and who is shown to be better than the best floor."""
    rows = _ordered(found.rows, metric)
    comparison = found.comparisons[metric]
    others = [row for row in rows[1:] if row.quality[metric].among_best]
    floors = tuple(row.label for row in others if row.family == "floor")
    if len(rows) > 1:
        yield Best(metric, rows[0].label, comparison.value(rows[0].label), tuple(row.label for row in others), floors)
        resolution = comparison.resolution()
        yield Smallest(metric, resolution.half_width, resolution.detectable, found.margin)
    floor = next((row for row in rows if row.family == "floor"), None)
    if floor is None:
        if metric == found.headline:
            yield NoFloor()
        return
    learnt = [row for row in rows if row.family != "floor"]
    if learnt:
        yield AgainstFloor(metric, floor.label, tuple(found.chosen(metric, row.label, floor.label) for row in learnt))


def _about_costs(answers: Iterable[Pair], groups: Groups) -> Iterable[Statement]:
    """Of the rows of each answer, once where two answers have the same."""
    for one, other in dict.fromkeys((pair.one, pair.other) for pair in answers):
        costs = compare_costs((one, groups[one]), (other, groups[other]))
        if costs is not None:
            yield costs


def _validated(record: RunRecord) -> bool:
    """Whether validation chose its epoch; once through time nothing does."""
    return record.config["train"].get("order") != "time"


def _of_parts(answer: Families | MissingFamily, declared: Sequence[Pair], metric: HeadlineMetric) -> list[tuple[str, str]]:
    """What is compared on each slice: the best of both families, and declared pairs."""
    chosen = [(answer.pair.one, answer.pair.other)] if isinstance(answer, Families) else []
    return list(dict.fromkeys([*chosen, *((pair.one, pair.other) for pair in declared if pair.metric == metric)]))
