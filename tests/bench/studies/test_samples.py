"""Who is ahead where items have many examples is found where it was made, and not claimed where it was not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.analysis.statements import of_kind
from rankbench.bench.analysis.study_statements import Crossover
from rankbench.bench.evaluation import scores
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.studies import grid, samples
from rankbench.bench.studies.grid import StudyResult
from rankbench.bench.studies.points import Point
from rankbench.bench.studies.questions.scaling import STUDY
from support.records import predictions, record


def scored(of_many: float, of_few: float, seed: int) -> pd.DataFrame:
    """Scores that know labels to one degree where items have 200 examples, and to another where they have 20."""
    frame = predictions(1.0, users=80, rows=40)
    often = frame["item"].to_numpy() >= 25
    noise = np.random.default_rng([seed, round(100 * of_many), round(100 * of_few)]).normal(size=len(frame))
    logit = np.where(often, of_many, of_few) * (2 * frame["label"] - 1) + noise
    return frame.assign(item_events=np.where(often, 200, 20), score=scores.rounded(1 / (1 + np.exp(-logit.to_numpy()))))


def finding(folder: Path, din: tuple[float, float], other: tuple[float, float], model: str, family: str) -> StudyResult:
    store, groups, points = Store(folder), {}, []
    for name, kind, skill in ((model, family, other), ("din", "classical", din)):
        for at in (0.5, 1.0):
            point = Point(f"{name} data", at, name, factor="data")
            points.append(point)
            for seed in range(3):
                frame = scored(*skill, seed)
                made = record(name, frame, seed, kind)
                identity = dataclasses.replace(made.identity, config_hash=f"{round(10 * at):012d}")
                made = dataclasses.replace(made, identity=identity)
                store.write(made, frame)
                groups.setdefault(point.label, []).append(made)
    every = tuple(record for group in groups.values() for record in group)
    return grid.read(STUDY, points, {point.label: () for point in points}, groups, View(store, every))


@pytest.mark.parametrize(
    ("model", "family"), [pytest.param("hstu", "generative", marks=pytest.mark.long), ("onetrans", "unified")]
)
def test_a_crossover_is_found_for_each_share(tmp_path: Path, model: str, family: str) -> None:
    found = of_kind(tuple(STUDY.statements(finding(tmp_path, (1.2, 0.4), (0.8, 0.8), model, family))), Crossover)
    assert [(one.one, one.other, one.share) for one in found] == [("din", model, 0.5), ("din", model, 1.0)]
    assert {one.outcome for one in found} == {"crossover"}
    assert all(one.items_many == one.items_few == 25 for one in found)


@pytest.mark.long
def test_a_lead_that_is_the_same_everywhere_is_none(tmp_path: Path) -> None:
    (one, _) = of_kind(tuple(STUDY.statements(finding(tmp_path, (1.0, 1.0), (0.5, 0.5), "hstu", "generative"))), Crossover)
    assert one.many.low > 0 and one.few.low > 0 and one.outcome != "crossover"


@pytest.mark.long
def test_half_of_the_training_halves_the_examples_of_an_item(tmp_path: Path) -> None:
    """Items of 200 examples have 50 of a quarter, items of 20 have 5: the same line at other places."""
    made = finding(tmp_path, (1.2, 0.4), (0.8, 0.8), "hstu", "generative")
    by_label = {one.row.label: one for one in made.measurements}
    pair = (by_label["din data @ 1.0"], by_label["hstu data @ 1.0"])
    (panel,) = samples.lines(made, {1.0: [pair], 0.05: [pair]}).values()
    assert [[mark.x for mark in line.marks] for line in panel] == [[10, 200], [1, 10]]
    assert [mark.value for mark in panel[0].marks] == [mark.value for mark in panel[1].marks]
    assert not list(samples.crossovers(made, {0.01: [pair]})), "no item has many of a hundredth"
