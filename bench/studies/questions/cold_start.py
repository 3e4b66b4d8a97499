"""What an item should be known by where training has few of its events or none: its id, its features, or its semantic id."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ... import registry
from ...analysis.comparison import HeadlineMetric
from ...analysis.parts import SliceOfTest, part
from ...analysis.statements import Statement
from ...analysis.study_statements import DifferenceAt, Differences, Remark, SemanticIds
from ...data.dataset import RankingData
from ...data.semantic_ids.codes import CodeFacts
from ...data.splits import held_out
from ...errors import UserError
from ...evaluation.cards import shown
from ...evaluation.stats import Verdict
from ...records.schema import RunRecord
from ...reporting.figures import titles
from ...reporting.figures.curves import Line, Mark, curves
from ..figure_data import place
from ..grid import PointPair, Study, StudyResult
from ..offers import FromData
from ..points import Point, Scope, retuned
from ..verdicts import against

ID, WHOLE = "id", "id and features"
"""What all are compared with; and where models are compared with each other."""

KNOWN_BY: Mapping[str, tuple[str, str]] = {
    ID: ("id", "users"),
    "features": ("none", "all"),
    WHOLE: ("id", "all"),
    "semantic id": ("codes", "users"),
    "id and semantic id": ("both", "users"),
    "semantic id if rare": ("backoff", "users"),
}
"""Place -> data.item_id, and whose side information models are given."""
_CODE_SETTINGS = {"code_source": "features", "code_method": "k-means", "code_levels": 3, "code_size": 64, "backoff_events": 10}
"""Of points without semantic ids, so that the command may have others for the points with one."""

HELD_OUT, NEW = "held out", "new"
BOUNDS = ((1, 4), (5, 19), (20, 99), (100, None))
METRIC: HeadlineMetric = "auc"
"""Of slices by item: hardly a request has two examples of one slice."""


class PartOfRows(NamedTuple):
    """A slice of the test rows."""

    owner: str
    """item or user"""
    events: str
    """Of the owner, as a place along an axis."""

    @property
    def name(self) -> str:
        return f"{self.owner}: {self.events}"


def points(scope: Scope) -> Iterable[Point]:
    if "item" not in scope.offers.features:
        raise UserError("the items of this data set have no features: there is nothing that a new item could be known by")
    for model in scope.models:
        for known_by, (item_id, told) in KNOWN_BY.items():
            settings = (f"data.item_id={item_id}", f"data.side_information={told}")
            if item_id in ("id", "none"):
                settings += tuple(f"data.{key}={value}" for key, value in _CODE_SETTINGS.items())
            elif item_id != "backoff":
                settings += (f"data.backoff_events={_CODE_SETTINGS['backoff_events']}",)
            yield Point(model, known_by, model, settings, retuned(model, scope.size), known_by)


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Everything against the id for each model; every model against the first classical one by the same."""
    found = {(point.model, point.factor): point for point in points}
    for point in points:
        if point.factor != ID:
            yield point, found[point.model, ID]
    classical = next((point.model for point in points if registry.MODELS[point.model].family == "classical"), None)
    for point in points:
        if classical is not None and point.model != classical:
            yield point, found[classical, point.factor]


def from_data(records: Sequence[RunRecord], prepared: Callable[[RunRecord], RankingData]) -> FromData:
    """The user's events before each example, whether its item is held out, and what the semantic ids are like."""
    data = prepared(records[0])
    examples = data.examples("test")
    user = data.log.user_of(examples.event)
    columns = {
        "user_before": data.hi[examples.event] - data.places_before(data.log.user_offsets[user]),
        "held_out": held_out(data.log, data.config.held_out_items)[examples.item],
    }
    return FromData(columns, tuple(map(SemanticIds, _code_facts(records, prepared))))


def _code_facts(records: Sequence[RunRecord], prepared: Callable[[RunRecord], RankingData]) -> list[CodeFacts]:
    """Of each kind of semantic ids, as a record has them: made again on another machine, they may be others."""
    facts: dict[tuple[str | int, ...], CodeFacts | None] = {}
    coded = {}
    for record in records:
        if record.config["data"]["item_id"] not in ("id", "none"):
            key = tuple(record.config["data"][name] for name in _CODE_SETTINGS if name != "backoff_events")
            facts[key] = facts.get(key) or record.data.codes
            coded[key] = record
    found = []
    for key, told in facts.items():
        codes = None if told is not None else prepared(coded[key]).vocabulary.codes
        found += [one for one in (told, codes and codes.facts) if one is not None]
    return found


def masks(finding: StudyResult) -> dict[PartOfRows, np.ndarray]:
    """Slice -> bool [test rows]: by events of the item in training, then by events of the user before the example."""
    rows, more = finding.view.predictions(finding.measurements[0].records[0].identity), finding.from_data.columns
    item, user = rows["item_events"].to_numpy(), more["user_before"]
    found = {
        PartOfRows("item", HELD_OUT): (item == 0) & more["held_out"],
        PartOfRows("item", NEW): (item == 0) & ~more["held_out"],
    }
    for owner, events, bounds in (("item", item, BOUNDS), ("user", user, ((0, 0), *BOUNDS))):
        for low, high in bounds:
            words = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
            found[PartOfRows(owner, words)] = (events >= low) & (events <= (np.inf if high is None else high))
    return found


def _by_user(
    finding: StudyResult, metric: HeadlineMetric, comparisons: Sequence[PointPair]
) -> Iterable[tuple[PartOfRows, SliceOfTest]]:
    """Slices by user of enough users, with these comparisons in each."""
    asked = [(one.one.row.label, one.other.row.label) for one in comparisons]
    for rows, mask in masks(finding).items():
        if rows.owner == "user" and (found := part(finding.measured, metric, rows.name, mask, asked)).trusted:
            yield rows, found


def _by_item(finding: StudyResult) -> Mapping[str, Mapping[PartOfRows, SliceOfTest]]:
    """Model -> slices by item, of enough users and items, with its own comparisons in each; over items as well as users.
    Intervals on held-out items hold for the comparisons of all models together, since this slice is what the study is made for.

    A slice is measured once for all models.
    """
    own = _own(finding, METRIC)
    asked = [(one.one.row.label, one.other.row.label) for comparisons in own.values() for one in comparisons]
    sliced: dict[str, dict[PartOfRows, SliceOfTest]] = {model: {} for model in own}
    for rows, mask in masks(finding).items():
        if rows.owner != "item":
            continue
        together = rows.events == HELD_OUT
        found = part(finding.measured, METRIC, rows.name, mask, asked, finding.measured.items, together)
        pairs = iter(found.pairs)
        for model, comparisons in own.items() if found.trusted else ():
            sliced[model][rows] = dataclasses.replace(found, pairs=tuple(next(pairs) for _ in comparisons))
    return sliced


def _own(finding: StudyResult, metric: HeadlineMetric) -> dict[str, list[PointPair]]:
    """Model -> what else it may know an item by, against the id."""
    found: dict[str, list[PointPair]] = {}
    for one in finding.pairs[metric]:
        if one.one.point.model == one.other.point.model:
            found.setdefault(one.one.point.model, []).append(one)
    return found


def _families(finding: StudyResult, metric: HeadlineMetric) -> list[PointPair]:
    """Models against the classical one, which knows items by the same."""
    return [one for one in finding.pairs[metric] if one.one.point.model != one.other.point.model]


def statements(finding: StudyResult) -> Iterable[Statement]:
    for metric in finding.pairs:
        for model, comparisons in _own(finding, metric).items():
            yield against(model, comparisons)
        for known_by in KNOWN_BY:
            rivals = [one for one in _families(finding, metric) if one.one.point.factor == known_by]
            if rivals:
                yield _of_models(known_by, metric, rivals, [(one.difference, one.verdict) for one in rivals])
    sliced = _by_item(finding)
    for model, comparisons in _own(finding, METRIC).items():
        for found in sliced[model].values():
            yield _of_slice(model, comparisons, found)
    for metric in finding.pairs:
        rivals = [one for one in _families(finding, metric) if one.one.point.factor == WHOLE]
        for rows, found in _by_user(finding, metric, rivals) if rivals else ():
            said = [(pair.difference, pair.verdict) for pair in found.pairs]
            yield dataclasses.replace(_of_models(WHOLE, metric, rivals, said), part=rows.name, users=found.users, at_once=1)
    yield from finding.from_data.statements
    yield Remark("cold start")


def _of_slice(model: str, comparisons: Sequence[PointPair], found: SliceOfTest) -> Differences:
    """What else a model may know items by, against the id, on a slice by item."""
    made = tuple(
        DifferenceAt(one.one.point.at, pair.difference, pair.verdict) for one, pair in zip(comparisons, found.pairs, strict=True)
    )
    return Differences(
        model, METRIC, ID, made, False, found.pairs[0].at_once, f"{found.name}, {found.items:,} items", found.users
    )


def _of_models(known_by: str, metric: HeadlineMetric, rivals: Sequence[PointPair], said: Sequence[tuple]) -> Differences:
    made = tuple(DifferenceAt(one.one.point.model, *found) for one, found in zip(rivals, said, strict=True))
    return Differences(known_by, metric, rivals[0].other.point.model, made, False, rivals[0].at_once)


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    drawn = {}
    panels, judged = _of_items(finding)
    if any(line.marks for lines in panels.values() for line in lines):
        title = f"{shown(METRIC)} by what models know items by"
        if judged:
            by = f"{shown(METRIC)} on held-out items"
            title = titles.by_verdict(by, "knowing items by features or semantic ids", "by ids alone", judged, "for", "cases")
        drawn["items"] = curves(
            title,
            f"{place(finding)}: {shown(METRIC)} by events of the item in training; held-out items together, others alone",
            "events of the item in training",
            f"paired difference in {shown(METRIC)} to the id alone",
            panels,
            over="users, items and seeds",
        )
    return drawn


def _of_items(finding: StudyResult) -> tuple[dict[str, list[Line]], list[tuple[str, Verdict]]]:
    """Model -> a line for each thing that items may be known by, along the events of the item; verdicts on held-out items."""
    panels: dict[str, list[Line]] = {}
    judged: list[tuple[str, Verdict]] = []
    sliced = _by_item(finding)
    for model, comparisons in _own(finding, METRIC).items():
        marks: dict[str, list[Mark]] = {str(one.one.point.at): [] for one in comparisons}
        for rows, found in sliced[model].items():
            for known_by, pair in zip(marks, found.pairs, strict=True):
                apart = pair.difference
                marks[known_by].append(Mark(rows.events.replace(" ", "\n"), apart.value, apart.low, apart.high))
                if rows.events == HELD_OUT:
                    judged.append((f"{known_by} in {model}", pair.verdict))
        panels[model] = [Line(known_by, None, tuple(along)) for known_by, along in marks.items() if along]
    return panels, judged


STUDY = Study(
    name="cold-start",
    title="Cold start",
    question="What should an item be known by where training has few of its events or none, and who copes with new users?",
    axis="items known by",
    models={"small": ("din", "hstu"), "full": ("din", "dcnv2", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    data={"held_out_items": 0.1},
    from_data=from_data,
)
