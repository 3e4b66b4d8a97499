"""What a record alone shows: settings, origin, costs and curve that cannot be are named, one line each."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.audit.history import Repository
from rankbench.bench.records import provenance

from .conftest import Folder

Change = Callable[[dict[str, Any]], None]


def part(name: str, **values: Any) -> Change:
    """Sets values of a part of a record, such as `cost` or `config.train`."""

    def change(raw: dict[str, Any]) -> None:
        inner: Any = raw
        for key in name.split("."):
            inner = inner[key]
        inner.update(values)

    return change


def whole(**values: Any) -> Change:
    return lambda raw: raw.update(values)


def other_best(raw: dict[str, Any]) -> None:
    """Of two epochs, the one that the record does not call the best."""
    raw["curve"][2 - raw["cost"]["best_epoch"]]["valid_auc"] = 0.999


LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds")

FORGERIES: dict[str, tuple[Change, str]] = {
    "a key more": (whole(extra=1), "unknown key"),
    "another place": (part("identity", seed=7), "by its content it belongs at runs/clicks@global-time/dnn/"),
    "another hash": (part("config.data", history_length=3), "its config has the hash "),
    "another family": (part("identity", family="floor"), "dnn is classical, not floor"),
    "simulated": (whole(simulated=True), "it was made on a simulated device"),
    "uncommitted code": (part("environment", git_dirty=True), "commit first, then run"),
    "no commit": (part("environment", git_commit=None), "no commit is given; run from a checkout"),
    "no name of a commit": (part("environment", git_commit="deadbeef"), "'deadbeef' is no name of a commit"),
    "ended before it began": (whole(finished="2020-01-01T00:00:00+00:00"), "before it started at"),
    "of the future": (whole(finished=LATER), "which is in the future"),
    "no time": (whole(started="yesterday"), "started is 'yesterday', which is no time"),
    "an accelerator": (whole(device="cuda:0"), "it ran on cuda:0, but its accelerator is none"),
    "no device": (whole(device="tpu"), "it ran on tpu; a device is one of cpu, cuda, npu"),
    "another precision": (whole(precision="bf16"), "it ran in bf16, but config.train.precision is fp32"),
    "no such operation": (whole(kernels={"magic": "torch"}), "kernels names the operation magic"),
    "no such kernel": (whole(kernels={"dropout": "magic"}), "kernels names dropout=magic, which does not exist"),
    "a kernel of a GPU": (whole(kernels={"hstu_attention": "triton"}), "which runs on cuda alone, but it ran on cpu"),
    "reduced precision": (whole(matmul={"tf32": "True"}), "matmul names tf32, which cpu does not have"),
    "negative time": (part("cost", train_seconds=-5.0), "cost.train_seconds is -5, which is impossible"),
    "no latency": (part("cost", latency_ms_100_candidates=0.0), "cost.latency_ms_100_candidates is 0, which is impossible"),
    "too little time": (part("cost", train_seconds=0.001), "cost.train_seconds is 0.001, its curve ends after"),
    "too much computing": (part("cost", train_cpu_seconds=1e6), "cost.train_cpu_seconds is 1e+06, more than"),
    "too little memory": (part("cost", peak_memory_mb=0.001), "but the parameters alone take"),
    "too much memory": (part("cost", peak_memory_mb=1e9), "more than the machine has"),
    "a best epoch beyond": (part("cost", best_epoch=99), "its best epoch is 99 of 2"),
    "more epochs than the curve": (part("cost", epochs=5), "its curve has the epochs [1, 2], cost.epochs is 5"),
    "no steps": (part("cost", steps=0), "it has 0 steps; training has some"),
    "another best": (other_best, "; by auc its curve has the best at epoch "),
    "time that runs backwards": (lambda raw: raw["curve"][0].update(seconds=1e5), "the seconds of its curve do not increase"),
    "better validation": (part("metrics.valid.all", auc=0.99), "auc of validation is 0.99, at epoch"),
    "an impossible metric": (part("metrics.valid.all", ece=1.5), "ece of all in metrics.valid is 1.5, which is impossible"),
    "another entropy": (part("metrics.valid.all", ne=0.5), "ne of all in metrics.valid is 0.5; logloss and counts give"),
    "more positives": (part("metrics.valid.all", positives=10**6), "1000000 positives among"),
    "a silent change": (whole(changed={}), "train.lr is 0.01, which is not the default, but `changed` does not name it"),
    "no sweep": (
        whole(tuning={"study": "x", "trials": 9, "seconds": 1.0, "metric": "auc", "value": 0.7, "cut": False}),
        "it is called tuned, but the sweep x of dnn is not below sweeps/",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_record_that_cannot_be_true_is_named(folder: Folder, forgery: str) -> None:
    change, said = FORGERIES[forgery]
    folder.change("dnn", 1, change)
    named = [line for line in folder.wrong() if line.startswith("wrong: runs/clicks@global-time/dnn/") and said in line]
    assert len(named) == 1 and "/seed-1.json: " in named[0], folder.wrong()


SETTINGS: dict[str, tuple[Change, str]] = {
    "an unknown key": (part("config.params", nonsense=1), "unknown key in config.params 'nonsense'"),
    "another rate": (part("config.train", lr=0.123), "`changed` says train.lr is 0.01, its config 0.123"),
    "less data": (part("config.data", train_share=0.05), "data.train_share is 0.05, which is not the default, but `changed`"),
    "a change that is none": (part("changed", **{"params.embedding_dim": 16}), "`changed` names params.embedding_dim, which"),
    "a default left open": (part("config.train", monitor="default"), "config.train.monitor is still `default`"),
    "another type": (part("config.params", embedding_dim="wide"), "config.params.embedding_dim must be a whole number"),
    "another split": (part("config.data", split="leave-one-out"), "its config has the split leave-one-out"),
}


@pytest.mark.parametrize("forgery", SETTINGS)
def test_settings_whose_hashes_fit_are_held_against_the_models_own(folder: Folder, forgery: str) -> None:
    change, said = SETTINGS[forgery]
    for seed in range(3):
        folder.change("dnn", seed, change, settings=True)
    assert sum(said in line for line in folder.wrong()) == 3, folder.wrong()


def test_a_commit_is_looked_up_in_the_repository(folder: Folder) -> None:
    history = Repository.here()
    if history is None or not history.whole:
        pytest.skip("the history of this repository is not at hand")
    folder.change("dnn", 0, part("environment", git_commit="deadbeef" * 5))
    folder.change("dnn", 1, part("environment", code_hash="0" * 64))
    folder.change("dnn", 2, whole(started="2001-01-01T00:00:00+00:00", finished="2001-01-01T00:00:01+00:00"))
    said = {line.split("/")[-1].partition(".json: ")[0]: line for line in folder.wrong()}
    assert "commit deadbeefdead is not in this repository" in said["seed-0"]
    assert f"its code hash is 000000000000, that of commit {history.head()[:12]} is" in said["seed-1"]
    assert "after the run had finished at 2001" in said["seed-2"]


def test_the_code_of_a_commit_has_the_hash_that_a_clean_checkout_has(tmp_path: Path) -> None:
    files = {"bench/a.py": "a = 1\n", "kernels/b.cpp": "int b;\n", "bench/a/c.py": "", "bench/d.txt": "not code"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    try:
        git("init")
    except OSError:
        pytest.skip("git is not installed")
    git("add", ".")
    git("commit", "-m", "first")
    history = Repository(tmp_path)
    found = history.commit(history.head())
    code = [(name, text.encode()) for name, text in files.items() if not name.endswith(".txt")]
    assert found is not None and found.code_hash == provenance.digest(code)
    assert abs(found.made - datetime.now(UTC)) < timedelta(minutes=10)
    assert history.commit("ab" * 20) is None and history.whole
