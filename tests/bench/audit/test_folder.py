"""A whole folder: what is genuine passes, and what is not is found side by side or against the data."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rankbench.bench import cli
from rankbench.bench.audit.finding import LIMITS
from rankbench.bench.evaluation import metrics, scores
from rankbench.bench.records import provenance, run_files, sweeps
from rankbench.bench.records.schema import from_json, to_json
from rankbench.bench.records.store import Store
from rankbench.bench.records.sweeps import Axis, SweepRecord, Trial
from support.records import pack, pack_cell

from .conftest import Folder
from .test_files import part, whole

ROOT = Path(__file__).resolve().parents[3]


def recompute(folder: Folder, model: str, seed: int) -> None:
    """Metrics of the test as the scores that are there have them: what whoever falsifies scores does, too."""
    record = from_json(folder.path(model, seed).read_text(), "")
    test = metrics.evaluate(rows(folder).assign(score=scores.probabilities(folder.codes(model, seed))))
    assert record.metrics is not None
    forged = dataclasses.replace(record, metrics=dataclasses.replace(record.metrics, test=test))
    folder.path(model, seed).write_text(to_json(forged))


def rows(folder: Folder) -> Any:
    """Test rows, from the folder in which the runs were made."""
    import pandas as pd

    (path,) = (folder.table.parent / "theirs" / "rows").rglob("*.parquet")
    return pd.read_parquet(path)


def test_a_genuine_folder_passes_and_what_no_check_finds_is_printed(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANKBENCH_CACHE", str(folder.roots.cache))
    assert cli.main(["check", str(folder.root), "--dataset", str(folder.table)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"ok: {folder.root}: 9 runs; nothing wrong was found" in lines
    assert not [line for line in lines if line.startswith("wrong: ")]
    assert lines[-len(LIMITS) - 1 :] == ["What no check can find:", *(f"- {line}" for line in LIMITS)]


def test_packed_runs_are_checked_as_loose_ones_and_a_broken_zip_is_named(folder: Folder) -> None:
    """Those that nothing is wrong with, a falsified one, and one that is misplaced."""
    folder.change("dnn", 0, part("metrics.test.all", auc=0.75))
    shutil.copytree(folder.path("lr", 0).parent, folder.root / "runs" / "elsewhere")
    before = [str(one) for one in folder.findings(data=True)]
    assert any("auc of all is 0.75" in line for line in before) and any("it belongs at" in line for line in before)
    store, home = Store(folder.root), folder.path("dnn", 1).parent
    pack(store)
    pack_cell(store.runs / "elsewhere")
    assert not list(store.runs.rglob("seed-*.json"))
    assert [str(one) for one in folder.findings(data=True)] == before
    run_files.archive(home).write_bytes(b"torn")
    name = run_files.archive(home).relative_to(folder.root)
    assert any(line.startswith(f"wrong: {name}: packed cell ") and "cannot be read" in line for line in folder.wrong())


def test_what_no_check_finds_is_what_contributors_are_told() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert [line for line in LIMITS if line not in text] == []


def test_without_the_data_it_says_what_was_not_checked(folder: Folder) -> None:
    said = [str(one) for one in folder.findings()]
    what = "facts, floors, metrics, sizes and steps were not recomputed: the data set is not here (--dataset FILE.yaml)"
    assert said.count(f"note: clicks@global-time: {what}") == 1
    assert said[-1] == f"ok: {folder.root}: 9 runs; nothing wrong was found"


def test_an_empty_folder_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "nothing"]) == 2
    assert "no run in nothing; it must hold runs/" in capsys.readouterr().err


def test_an_option_that_does_nothing_is_an_error(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(folder.root), "--choice", "3"]) == 2
    assert "check without --retrain makes no use of --choice" in capsys.readouterr().err


def test_a_failed_run_is_a_note_and_its_seed_is_missed(folder: Folder) -> None:
    folder.change("dnn", 2, whole(status="failed", error="ValueError: it broke", metrics=None, cost=None, curve=None))
    said = [str(one) for one in folder.findings()]
    assert sum(line.startswith("note: ") and "a failed run (ValueError: it broke)" in line for line in said) == 1
    assert any("lacks the seeds 2, which other rows have" in line for line in said)


def test_missing_scores_are_named(folder: Folder) -> None:
    folder.path("dnn", 2).with_suffix(".scores.npz").unlink()
    assert any("its scores are not beside it (seed-2.scores.npz)" in line for line in folder.wrong())


def test_rows_need_three_seeds_from_0_on_and_all_the_same(folder: Folder) -> None:
    row = folder.path("dnn", 0).parent.name.split("-")[0]
    for old, new in ((2, 42), (1, 17)):
        path = folder.path("dnn", old)
        for suffix in (".json", ".scores.npz"):
            shutil.move(path.with_suffix(suffix), path.with_name(f"seed-{new}{suffix}"))
        folder.change("dnn", new, part("identity", seed=new))
    assert any(f"dnn/{row} has the seeds 0, 17, 42; seeds are counted from 0, and 1, 2" in line for line in folder.wrong())
    for seed in (17, 42):
        folder.path("dnn", seed).unlink()
    said = folder.wrong()
    assert f"wrong: clicks@global-time: dnn/{row} lacks the seeds 1, 2, which other rows have" in said
    assert f"wrong: clicks@global-time: dnn/{row} has 1 seed(s); every row needs 3 at least" in said


def test_points_of_a_study_need_the_seeds_and_what_was_tried_for_them_does_not(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Store(folder.root).of_study("heads")
    shutil.copytree(folder.root / "runs", study.root / "runs")
    for seed in (1, 2):
        (path,) = (study.root / "runs").glob(f"*/lr/*/seed-{seed}.json")
        path.unlink()
    table = study.study_folder("clicks", "global-time") / "study.json"
    table.parent.mkdir()
    table.write_text("[1]")
    assert {line.split(" is ")[0] for line in folder.wrong()} == {f"wrong: studies/heads/clicks@global-time: study {table}"}

    def found(*models: str) -> SimpleNamespace:
        """A study of these points alone."""
        hashes = {model: json.loads(folder.path(model, 0).read_text())["identity"]["config_hash"] for model in models}
        rows = [SimpleNamespace(row=SimpleNamespace(model=model, config_hash=key)) for model, key in hashes.items()]
        return SimpleNamespace(points=rows)

    monkeypatch.setattr("rankbench.bench.audit.groups.study.load", lambda path: found("dnn"))
    assert folder.wrong() == []
    monkeypatch.setattr("rankbench.bench.audit.groups.study.load", lambda path: found("dnn", "lr"))
    assert {line.split("lr/")[0] for line in folder.wrong()} == {"wrong: studies/heads/clicks@global-time: "}


def test_other_data_settings_are_another_group_and_no_error(folder: Folder) -> None:
    def longer(raw: dict[str, Any]) -> None:
        raw["config"]["data"]["history_length"] = 20
        raw["changed"]["data.history_length"] = 20

    for seed in range(3):
        folder.change("dnn", seed, longer, settings=True)
    said = [str(one) for one in folder.findings()]
    groups = "clicks@global-time+history_length=20, clicks@global-time"
    other = "clicks@global-time, clicks@global-time+history_length=20"
    line = "note: clicks@global-time: its runs are of 2 groups, each a board of its own: "
    assert {line + groups, line + other} & set(said)
    assert said[-1].startswith("ok: ")


def test_copied_scores_are_found_among_seeds_and_models(folder: Folder) -> None:
    best = folder.codes("dnn", 0)
    folder.set_codes("dnn", 1, best)
    folder.set_codes("dnn", 2, best + np.random.default_rng(0).integers(-1, 2, len(best)))
    folder.set_codes("lr", 2, best)
    said = [line for line in folder.wrong() if "its scores are those of" in line]
    assert sum("/dnn/" in line.split(": ")[1] and "/dnn/" in line.split("those of")[1] for line in said) == 3
    assert sum(("/lr/" in line.split("those of")[0]) != ("/lr/" in line.split("those of")[1]) for line in said) == 3
    assert not any("popularity" in line for line in said), "a floor that counts is the same for every seed"


def test_exchanged_seeds_are_found_where_models_differ(folder: Folder) -> None:
    """Scores as rows of two models have them: a part of the model's own, and less that every seed has for itself."""
    rng, rows = np.random.default_rng(0), len(folder.codes("dnn", 0))
    for model in ("dnn", "lr"):
        own = 300 * rng.normal(size=rows)
        for seed in range(3):
            folder.set_codes(model, seed, own + 100 * rng.normal(size=rows))
    assert folder.wrong() == []
    one, other = folder.codes("dnn", 0), folder.codes("lr", 1)
    folder.set_codes("dnn", 0, other)
    folder.set_codes("lr", 1, one)
    said = [line for line in folder.wrong() if "are exchanged: each is nearer to the other row's seeds" in line]
    assert len(said) == 1 and "seed-0.json: " in said[0] and "seed-1.json" in said[0].split("those of")[1]


def test_the_data_are_held_against_what_records_say(folder: Folder) -> None:
    """A forgery in each of nine records, all found at once."""

    def facts(raw: dict[str, Any]) -> None:
        raw["data"]["files"][0]["sha256"] = "0" * 64
        raw["data"]["examples"]["train"] += 1
        raw["data"]["share_train_after_test"] = 0.7
        raw["data"]["cleaning"]["rows_read"] = 5

    def other_content(raw: dict[str, Any]) -> None:
        raw["identity"]["content_hash"] = raw["data"]["content_hash"] = "e" * 64
        raw["data"]["content"]["label"] = "stars >= 4"

    def move(seed: int) -> None:
        path = folder.path("dnn", seed)
        record = from_json(path.read_text(), "")
        home = Store(folder.root).record_path(record.identity)
        home.parent.mkdir(exist_ok=True)
        for suffix in (".json", ".scores.npz"):
            shutil.move(path.with_suffix(suffix), home.with_suffix("").with_suffix(suffix))

    folder.change("popularity", 0, facts)
    folder.set_codes("popularity", 1, folder.codes("lr", 0))
    recompute(folder, "popularity", 1)
    folder.change("popularity", 2, part("metrics.valid.all", auc=0.75))
    folder.change("lr", 0, part("cost", parameters_embedding=7, steps=900))
    folder.change("lr", 1, part("metrics.test.all", auc=0.75))
    folder.change("lr", 2, whole(logit_correction=0.5))
    folder.change("dnn", 0, part("cost", flops_per_example=1.0, examples_per_second=1e9))
    folder.change("dnn", 1, part("metrics.valid.all", n=290))
    folder.change("dnn", 2, other_content)
    move(2)
    said = folder.wrong(data=True)

    def named(model: str, seed: int, *texts: str) -> None:
        own = [line for line in said if f"/{model}/" in line and f"/seed-{seed}.json: " in line]
        assert [text for text in texts if not any(text in line for line in own)] == [], own

    named(
        "popularity", 0, "data.files.clicks.csv is ", "data.examples.train is 24", "data.cleaning.rows_read is 5; here it is 3000"
    )
    named("popularity", 0, "data.share_train_after_test is 0.7; here it is 0")
    named("popularity", 1, "its scores are not those that popularity has on these data")
    named("popularity", 2, "auc of all in metrics.valid is 0.75; made again it is ")
    named("lr", 0, "cost.parameters_embedding is 7; the model has ", "it has 900 steps; 2 epochs on these data have ")
    named("lr", 1, "auc of all is 0.75 in the record and ")
    named("lr", 2, "logit_correction is 0.5; its sampling of negatives gives 0")
    named("dnn", 0, "cost.flops_per_example is 1; the model has ", "trained examples (examples_per_second times train_seconds)")
    named("dnn", 1, "n of all in metrics.valid is 290; validation has 300")
    named("dnn", 2, "it is of other data: content hash eeeeeeeeeeee, here ", "(label rule 'stars >= 4' is now 'click')")


def test_labels_in_scores_are_found_though_metrics_fit(folder: Folder) -> None:
    label = rows(folder)["label"].to_numpy()
    for seed in range(3):
        codes = folder.codes("dnn", seed)
        folder.set_codes("dnn", seed, codes + 0.5 * codes.std() * (2.0 * label - 1))
        recompute(folder, "dnn", seed)
    said = folder.wrong(data=True)
    assert sum("/dnn/" in line and "know too much of the test labels" in line for line in said) == 3, said
    assert not any("/lr/" in line for line in said)


def test_training_again_proves_scores_and_finds_exchanged_ones(folder: Folder) -> None:
    for seed in range(3):
        folder.change("dnn", seed, part("environment", code_hash=provenance.code_hash()))
    one, other = folder.codes("dnn", 0), folder.codes("dnn", 1)
    folder.set_codes("dnn", 0, other)
    folder.set_codes("dnn", 1, one)
    for seed in (0, 1):
        recompute(folder, "dnn", seed)
    said = [str(one) for one in folder.findings(data=True, retrain=6, seed=1)]
    again = {line.split(".json: ")[0].split("/")[-1]: line for line in said if "trained again" in line and "/dnn/" in line}
    assert again.keys() == {"seed-0", "seed-1", "seed-2"}
    assert again["seed-0"].startswith("wrong: ") and "trained again it has other scores" in again["seed-0"]
    assert again["seed-1"].startswith("wrong: ")
    assert again["seed-2"].endswith("trained again it has the same scores")
    assert sum("trained again it has the same scores" in line and "/lr/" in line for line in said) == 3


def sweep_of(folder: Folder) -> SweepRecord:
    """A search whose best trial has the settings of the folder's dnn."""
    record = from_json(folder.path("dnn", 0).read_text(), "")
    sections = {"data": record.config["data"], "train": record.config["train"], "dnn": record.config["params"]}
    settings = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    settings |= {"content_hash": record.identity.content_hash, "split_hash": record.identity.split_hash, "train.max_seconds": 9.0}
    del settings["train.lr"]
    trials = [
        Trial(0, "complete", 0.6, 1.0, 2, 2, None, None, {"train.lr": 0.001}, (0.5, 0.6), False),
        Trial(1, "complete", 0.7, 1.5, 1, 1, None, None, {"train.lr": 0.01}, (0.7,), False),
    ]
    space = {"train.lr": Axis("log", (0.0001, 0.01))}
    return SweepRecord(
        sweeps.VERSION, "s/dnn", "clicks", "global-time", "dnn", "classical", "auc", 0, 2, None, settings, space,
        {"train.lr": 0.001}, tuple(trials),
    )  # fmt: skip


def test_a_tuned_run_has_the_best_settings_of_a_sweep_that_is_there(folder: Folder) -> None:
    sweep = sweep_of(folder)
    path = folder.root / "sweeps" / "clicks@global-time" / "dnn.json"
    sweeps.write(sweep, path)
    tuning = {"study": "s/dnn", "trials": 2, "seconds": 2.5, "metric": "auc", "value": 0.7, "cut": False}
    for seed in range(3):
        folder.change("dnn", seed, whole(tuning=tuning))
    said = [str(one) for one in folder.findings()]
    assert said[-1].startswith("ok: ")
    sweeps.write(dataclasses.replace(sweep, trials=(sweep.trials[0], dataclasses.replace(sweep.trials[1], cut=True))), path)
    said = [str(one) for one in folder.findings()]
    cut = "a limit of time ended its best trial, 1; what is tuned by it has the same limit"
    assert f"note: sweeps/clicks@global-time/dnn.json: {cut}" in said
    assert sum("its sweep has 2 trials in 2.5 s, auc 0.7, cut" in line for line in said) == 3
    assert sum("ended the best trial of its sweep, but config.train.max_seconds is 0" in line for line in said) == 3
    sweeps.write(sweep, path)

    folder.change("dnn", 0, whole(tuning=tuning | {"trials": 40}))
    folder.change("dnn", 1, whole(tuning=tuning | {"value": 0.9}))
    said = folder.wrong()
    assert (
        sum("its tuning says 40 trials in 2.5 s, auc 0.7; its sweep has 2 trials in 2.5 s, auc 0.7" in line for line in said) == 1
    )
    assert sum("auc 0.9; its sweep has 2 trials in 2.5 s" in line for line in said) == 1

    other = dataclasses.replace(sweep.trials[1], value=0.8, curve=(0.8,), params={"train.lr": 0.003}, number=0)
    sweeps.write(dataclasses.replace(sweep, trials=(*sweep.trials, other)), path)
    said = folder.wrong()
    assert sum("it is called tuned, but train.lr is 0.01, that of its sweep 0.003" in line for line in said) == 3
    assert any("two of its trials have one number" in line for line in said)
    bad = dataclasses.replace(sweep.trials[1], value=0.9, best_epoch=4)
    sweeps.write(dataclasses.replace(sweep, trials=(sweep.trials[0], bad)), path)
    said = folder.wrong()
    assert any("trial 1 has the value 0.9, its curve the best 0.7" in line for line in said)
    assert any("trial 1 has 1.5 s and the best epoch 4 of 1" in line for line in said)
    settings = {**sweep.settings, "content_hash": "e" * 64}
    sweeps.write(dataclasses.replace(sweep, settings=settings), path)
    assert sum("its sweep has another content hash: it searched on other data" in line for line in folder.wrong()) == 3
