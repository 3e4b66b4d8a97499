"""Studies of simulated scenarios find what was planted, and do not find what was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.analysis import study as study_file
from rankbench.bench.analysis.statements import of_kind
from rankbench.bench.analysis.study import StudyRecord
from rankbench.bench.analysis.study_statements import Differences

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_folders")]

SEEDS = 3


def answered(study: str, log: dict[str, float], series: tuple[str, ...], models: str, history: int = 4) -> StudyRecord:
    """The study of a log with these settings, by whole commands."""
    lines = [f"source: simulator-{study}", *(f"{key}: {value}" for key, value in log.items())]
    Path("planted.yaml").write_text("\n".join(lines) + "\n")
    words = ["--dataset", "planted.yaml", "--models", models, "--seeds", str(SEEDS), "--device", "cpu", "--jobs", "1", "--quiet"]
    words += [word for one in series for word in ("--series", one)]
    for setting in (f"data.history_length={history}", "train.lr=0.01", "train.batch_size=256", "train.epochs=4"):
        words += ["--set", setting]
    assert cli.main(["study", study, *words, "--results", "out"]) == 0
    return study_file.load(Path(f"out/studies/{study}/planted@global-time/study.json"))


def verdicts(found: StudyRecord, series: str, part: str = "", reference: str = "") -> dict[str, str]:
    """Place -> word, by the headline, of the statement about a series, a slice and a reference."""
    said = [
        one
        for one in of_kind(found.statements, Differences)
        if (one.series, one.part, one.metric) == (series, part, found.headline) and reference in ("", one.reference)
    ]
    return {str(item.at): item.verdict for one in said for item in one.differences}


def value(found: StudyRecord, label: str) -> float:
    return next(point.row.quality[found.headline].point for point in found.points if point.row.label == label)


def test_behaviours_finds_the_one_that_predicts_and_not_the_other() -> None:
    log = {"users": 110, "pages": 16, "items": 40, "categories": 8, "search": 3.0}
    found = answered("behaviours", log, ("din, history",), "din")
    word = verdicts(found, "din, history")
    assert word["the target and search"] == "better"
    assert word["the target and scroll"] != "better"
    assert word["the target alone"] == "worse" and word["all, not told apart"] == "worse"
    assert value(found, "din, history @ the target and search") > value(found, "din, history @ the target alone") + 0.05


def test_behaviours_finds_nothing_where_nothing_was_planted() -> None:
    log = {"users": 100, "pages": 16, "items": 40, "categories": 8, "search": 0.0}
    word = verdicts(answered("behaviours", log, ("din, history",), "din"), "din, history")
    assert word["the target and search"] != "better" and word["the target and scroll"] != "better"
    assert word["the target alone"] != "worse"


def test_domains_finds_the_one_that_helps_and_the_one_that_misleads() -> None:
    found = answered("domains", {"users": 400, "items": 400, "shop": 0.1}, ("dnn",), "dnn", history=1)
    assert verdicts(found, "dnn")["one for all, domain hidden"] == "worse"
    alone = "a model trained on shop alone"
    shop = verdicts(found, "dnn", "domain shop", alone)
    assert shop["one for all"] == shop["trained on feed"] == "better" and shop["trained on games"] == "worse"
    assert verdicts(found, "dnn", "domain shop", "one for all")["one for each domain"] == "worse"
    feed = verdicts(found, "dnn", "domain feed", "a model trained on feed alone")
    assert feed["one for all"] != "better" and feed["trained on shop"] == "worse"


def test_domains_finds_no_reason_to_know_them_where_all_have_one_taste() -> None:
    found = answered("domains", {"users": 250, "items": 60, "opposition": 1.0}, ("dnn",), "dnn", history=1)
    word = verdicts(found, "dnn")
    assert word["one for all, domain hidden"] != "worse" and word["one for each domain"] != "better"


def test_side_information_finds_the_features_that_tell() -> None:
    log = {"users": 220, "items": 4000, "brands": 10, "brand": 0.7, "segment": 2.0}
    found = answered("side-information", log, ("lr", "dnn"), "dnn", history=1)
    for model in ("lr", "dnn"):
        word = verdicts(found, model)
        assert word["items"] == word["items and users"] == "better" and word["users"] != "better", model
    # Only a model that looks at pairs of features can learn how a segment likes a brand.
    assert value(found, "dnn @ items and users") > value(found, "dnn @ items") + 0.01


def test_side_information_finds_nothing_where_features_tell_nothing() -> None:
    log = {"users": 120, "items": 600, "brand": 0.0, "segment": 0.0}
    found = answered("side-information", log, ("lr", "dnn"), "dnn", history=1)
    for model in ("lr", "dnn"):
        assert set(verdicts(found, model).values()) <= {"equivalent", "not settled"}, model
