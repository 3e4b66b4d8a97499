"""The study of cold starts asks every model the same, and finds what the simulator planted, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml

from rankbench.bench.analysis.statements import of_kind
from rankbench.bench.analysis.study_statements import Differences, Remark, SemanticIds
from rankbench.bench.config import DataConfig, Settings
from rankbench.bench.data import item_ids
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.eventlog import EventLog
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.semantic_ids.codes import CodeFacts, ItemCodes, item_codes
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.data.sources.simulator import SimulatorConfig, expected_auc, simulate
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import metrics
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.runs import schedule
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import Study, StudyResult
from rankbench.bench.studies.offers import Offers
from rankbench.bench.studies.points import Scope, cells
from rankbench.bench.studies.questions import cold_start
from rankbench.bench.studies.questions.cold_start import HELD_OUT, ID, KNOWN_BY, STUDY, masks
from support.records import predictions, record
from support.recovered import small
from support.studies import made_up, scope


def test_all_models_know_items_by_the_same_things() -> None:
    points = STUDY.grid(scope(("hstu", "din")))
    assert {(point.model, point.at) for point in points} == {(model, at) for model in ("hstu", "din") for at in KNOWN_BY}
    pairs = [(one.label, other.label) for one, other in STUDY.pairs(points)]
    assert ("hstu @ semantic id", "hstu @ id") in pairs and ("hstu @ id", "din @ id") in pairs
    assert len(pairs) == 2 * (len(KNOWN_BY) - 1) + len(KNOWN_BY)


def test_settings_of_codes_reach_the_points_that_have_codes_and_are_no_fault_of_the_others() -> None:
    asked = Settings(data={"code_method": "rq-vae", "code_size": 16})
    for point in STUDY.grid(scope(("din",))):
        data = cells(point, (), asked, 1)[0].experiment.data
        with_codes = data.item_id in ("codes", "both", "backoff")
        assert (data.code_method, data.code_size) == (("rq-vae", 16) if with_codes else ("k-means", 64))


def test_items_without_features_are_no_question() -> None:
    with pytest.raises(UserError, match="the items of this data set have no features"):
        STUDY.grid(Scope(("din",), offers=Offers()))


def test_what_codes_are_like_is_read_from_records_where_these_say_it() -> None:
    """Made again on another machine, clusters may fall otherwise: a study must not say other things there."""
    told = CodeFacts("features", "k-means", 3, 64, 40, 40, 30, 15, 4, 10, 10, 6)

    def run(item_id: str, codes: CodeFacts | None, size: int = 64) -> RunRecord:
        made = record("din", predictions(1.0))
        data = {**made.config["data"], "item_id": item_id, "code_size": size}
        return dataclasses.replace(made, config={**made.config, "data": data}, data=dataclasses.replace(made.data, codes=codes))

    def prepared(_: RunRecord) -> RankingData:
        raise AssertionError("nothing need be made again")

    runs = [run("id", None), run("codes", None), run("both", told), run("backoff", None)]
    assert cold_start._code_facts(runs, prepared) == [told]
    other = dataclasses.replace(told, size=16)
    assert cold_start._code_facts([*runs, run("codes", other, 16)], prepared) == [told, other]


@pytest.mark.long
def test_slices_are_parts_of_the_rows_and_told_apart(tmp_path: Path) -> None:
    finding = made_up(STUDY, scope(("din", "hstu")), tmp_path, users=40)
    found = masks(finding)
    for owner in ("item", "user"):
        assert (np.sum([mask for part, mask in found.items() if part.owner == owner], axis=0) == 1).all()
    said = tuple(STUDY.statements(finding))
    sliced = [one for one in of_kind(said, Differences) if one.part]
    assert {one.series for one in sliced if one.part.startswith("item: ")} == {"din", "hstu"}
    assert {one.reference for one in sliced if one.part.startswith("user: ")} == {"din"}
    held = [one for one in sliced if one.part.startswith(f"item: {HELD_OUT}")]
    assert {one.at_once for one in held} == {2 * (len(KNOWN_BY) - 1)}, "held together, those of both models"
    assert {one.at_once for one in sliced if one not in held} == {1}
    assert of_kind(said, SemanticIds) and said[-1] == Remark("cold start")


WORLD = SimulatorConfig(
    events=20_000,
    users=500,
    items=1_500,
    categories=20,
    intercept=0.0,
    popularity=0.5,
    long_term_taste=0.0,
    recent_interest=0.0,
    time_of_day=0.0,
    target_match=0.0,
    traits=3,
)
"""Items differ, and their features say nothing of it."""


def ran(
    config: SimulatorConfig, folder: Path, study: Study = STUDY, model: str = "lr", settings: Iterable[str] = ("train.epochs=6",)
) -> StudyResult:
    """The study by one model, on a world with three tenths of its items held out."""
    file = folder / "world.yaml"
    file.write_text(yaml.safe_dump({"source": "simulator", **dataclasses.asdict(config)}))
    data = {"dataset": str(file), "history_length": 5, "held_out_items": 0.3, "code_size": 16}
    options = schedule.Options(Store(folder / "results"), DataRoots(None, folder), quiet=True, jobs=1)
    return grid.run(study, Scope((model,)), Settings(data=data).changed(list(settings), (model,)), 2, options)


def of_places(*places: str) -> Study:
    """The study of some things that items may be known by."""
    return dataclasses.replace(STUDY, points=lambda scope: (point for point in STUDY.points(scope) if point.at in places))


def on_held_out(finding: StudyResult) -> dict[str, str]:
    """What items are known by -> the verdict against the id on held-out items."""
    said = of_kind(tuple(STUDY.statements(finding)), Differences)
    return {str(item.at): item.verdict for one in said if one.part.startswith(f"item: {HELD_OUT}") for item in one.differences}


@pytest.mark.long
def test_features_that_tell_are_found_and_come_near_the_best_auc(tmp_path: Path) -> None:
    world = dataclasses.replace(WORLD, popularity=0.0, told_quality=1.5)
    finding, raw = ran(world, tmp_path), simulate(world, "world")
    verdicts = on_held_out(finding)
    assert len(verdicts) == len(KNOWN_BY) - 1 and set(verdicts.values()) == {"better"}
    held = next(mask for part, mask in masks(finding).items() if part.events == HELD_OUT)
    rows = {one.point.at: finding.view.predictions(one.records[0].identity)[held] for one in finding.measurements}
    names = open_dataset(str(tmp_path / "world.yaml"), DataRoots(None, tmp_path)).dictionary("user")
    truth = raw.events.set_index(["user", "time"])["true_probability"]
    first = rows[ID]
    best = expected_auc(truth.loc[list(zip(names[first["user"]], first["time"] // 1000, strict=True))].to_numpy())
    auc = {at: metrics.auc(of["label"].to_numpy(), of["score"].to_numpy()) for at, of in rows.items()}
    assert best > 0.75 and auc["features"] > best - 0.06 and auc[ID] < 0.6
    assert 0.55 < auc["semantic id"] < best


@pytest.mark.long
def test_features_that_say_nothing_are_not_called_better(tmp_path: Path) -> None:
    verdicts = on_held_out(ran(WORLD, tmp_path))
    assert len(verdicts) == len(KNOWN_BY) - 1 and "better" not in verdicts.values()


@pytest.mark.long
@pytest.mark.parametrize("told", [True, False])
def test_a_generative_ranker_is_better_by_features_that_tell_and_by_no_others(told: bool, tmp_path: Path) -> None:
    world = dataclasses.replace(WORLD, popularity=0.0, told_quality=1.5) if told else WORLD
    finding = ran(world, tmp_path, of_places(ID, "features"), "hstu", small("hstu"))
    assert (on_held_out(finding) == {"features": "better"}) == told
    assert ([one.verdict for one in finding.pairs["auc"]] == ["better"]) == told


@pytest.mark.long
def test_codes_of_other_items_bring_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same codes, each item with those of another: whatever is found with them is found without reason."""

    def of_others(log: EventLog, train: np.ndarray, config: DataConfig) -> ItemCodes:
        made, order = item_codes(log, train, config), np.random.default_rng(0).permutation(log.meta.items)
        return dataclasses.replace(made, codes=made.codes[order], has_code=made.has_code[order])

    monkeypatch.setattr(item_ids, "item_codes", of_others)
    world = dataclasses.replace(WORLD, popularity=0.0, told_quality=1.5)
    finding = ran(world, tmp_path, of_places(ID, "semantic id"))
    assert on_held_out(finding) == {"semantic id": "not settled"}
    assert [one.verdict for one in finding.pairs["auc"]] == ["worse"], "ids tell items apart, such codes do not"
