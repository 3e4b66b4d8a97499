"""The study of the user's id compares each model with itself, and every model with DIN, by both headlines and by slice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rankbench.bench import registry
from rankbench.bench.analysis.statements import Pair, Statement, of_kind
from rankbench.bench.analysis.study_statements import Differences, Remark
from rankbench.bench.config import Settings
from rankbench.bench.evaluation import scores
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import StudyResult
from rankbench.bench.studies.points import Scope, cells
from rankbench.bench.studies.questions.identity import STUDY
from support.records import predictions, record

MODELS = ("hstu", "llama", "din")


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The id helps users that training knows and hurts the others; without it HSTU is ahead of DIN, with it behind."""
    store, points = Store(tmp_path_factory.mktemp("runs")), STUDY.grid(Scope(MODELS))
    skill = {("hstu", "none"): 1.0, ("hstu", "embedding"): 0.6, ("llama", "none"): 0.4, ("llama", "embedding"): 0.3}
    groups = {}
    for point in points:
        groups[point.label] = []
        for cell in cells(point, (), Settings(), 2):
            frame = predictions(skill.get((point.model, point.factor), 0.8), cell.seed)
            if point.model == "din" and point.factor == "embedding":
                known = (frame["user_events"] > 0).to_numpy()
                better, worse = (predictions(of, cell.seed)["score"].to_numpy() for of in (1.6, 0.3))
                frame["score"] = scores.rounded((better * known) + (worse * ~known))
            made = record(point.model, frame, cell.seed, registry.MODELS[point.model].family)
            made = dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash=cell.experiment.hash))
            store.write(made, frame)
            groups[point.label].append(made)
    view = View(store, tuple(record for group in groups.values() for record in group))
    return grid.read(STUDY, points, dict.fromkeys(groups, ()), groups, view)


@pytest.fixture(scope="module")
def said(finding: StudyResult) -> tuple[Statement, ...]:
    return tuple(STUDY.statements(finding))


def test_the_classical_ranker_is_always_among_the_models() -> None:
    points = STUDY.grid(Scope(("hstu",)))
    assert [(point.model, point.factor) for point in points] == [
        (model, setting) for model in ("hstu", "din") for setting in ("none", "embedding")
    ]
    assert all(point.settings == (f"{point.model}.user_id={point.factor}",) for point in points)
    pairs = [(one.label, other.label) for one, other in STUDY.pairs(points)]
    assert pairs == [
        ("hstu @ embedding", "hstu @ none"),
        ("din @ embedding", "din @ none"),
        ("hstu @ none", "din @ none"),
        ("hstu @ embedding", "din @ embedding"),
    ]


@pytest.mark.parametrize("metric", ["request_gauc", "auc"])
def test_what_the_id_brings_each_model_is_said_by_both_headlines(said: tuple[Statement, ...], metric: str) -> None:
    first = next(one for one in of_kind(said, Differences) if one.metric == metric and not one.part)
    assert (first.series, first.reference, first.at_once) == ("user_id embedding", "the same model without it", 7)
    assert {item.at: item.verdict for item in first.differences}["hstu"] == "worse"
    assert {item.at for item in first.differences} == set(MODELS)


@pytest.mark.parametrize("metric", ["request_gauc", "auc"])
def test_the_best_generative_is_held_against_din_for_each_setting(said: tuple[Statement, ...], metric: str) -> None:
    pairs = [pair for pair in of_kind(said, Pair) if pair.metric == metric]
    assert [(pair.one, pair.other) for pair in pairs] == [("hstu @ none", "din @ none"), ("hstu @ embedding", "din @ embedding")]
    assert pairs[0].verdict == "better" and all(pair.basis == "post hoc" and pair.at_once == 7 for pair in pairs)


def test_slices_show_whom_it_helps(said: tuple[Statement, ...]) -> None:
    own = [one for one in of_kind(said, Differences) if one.part and one.reference == "the same model without it"]
    assert {one.part for one in own} == {"user_events: 0", "user_events: 1-19", "user_events: 20-49"}, "none of too few users"
    din = {(one.part, one.metric): item.verdict for one in own for item in one.differences if item.at == "din"}
    for metric in ("request_gauc", "auc"):
        assert din["user_events: 0", metric] == "worse" and din["user_events: 20-49", metric] == "better"  # type: ignore[index]
    assert all(one.at_once == 1 and one.users is not None and one.users >= 10 for one in own)
    assert said[-1] == Remark("ids")


def test_figures_show_models_and_slices_of_both_headlines(finding: StudyResult, tmp_path: Path) -> None:
    figures = STUDY.figures(finding)
    assert list(figures) == ["models-request_gauc", "slices-request_gauc", "models-auc", "slices-auc"]
    left, right = figures["models-auc"].axes
    drawn = [line for line in right.lines if line.get_marker() not in ("None", None, "") and len(line.get_xdata()) == 1]
    assert len(drawn) == len(MODELS), "one difference per model: to itself without the id"
    assert len([label for label in left.get_yticklabels() if label.get_text()]) == 2 * len(MODELS)
