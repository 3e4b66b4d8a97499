"""Cells as runs of MLflow: one for each, ended as it ended, and one line where that cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.training.display import Display
from rankbench.bench.training.follow import Followed
from rankbench.bench.training.progress import CellEnded, CellStarted, EpochStarted, Stepped
from support import fake_mlflow
from support.events import ALIKE, EVENTS, cell

SETTINGS = {"train.lr": 1e-3, "data.pools": (), **{f"params.{number}": number for number in range(120)}}
STARTED = CellStarted(SETTINGS)


@pytest.mark.long
def test_mlflow_keeps_a_run_for_each_cell(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/runs.db"
    with Display(quiet=True, followers=Followed(mlflow=uri).start()) as display:
        display.handle(cell(), STARTED)
        for event in EVENTS[:-1]:
            display.handle(cell(), event)
        display.handle(cell(), CellEnded("ok", 3.0, "test", {"request_ndcg@10": 0.7, "user_gauc": None}, 1))
        for seed, status in enumerate(("failed", "stopped", "pruned"), start=1):
            display.handle(cell(seed=seed), STARTED)
            display.handle(cell(seed=seed), CellEnded(status, reason="why"))  # type: ignore[arg-type]
        display.handle(cell(seed=4), STARTED)  # and then comes Ctrl-C
        display.handle(cell(seed=5), CellEnded("stopped", reason="not begun"))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("clicks@global-time")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    statuses = ("FINISHED", "FAILED", "KILLED", "FINISHED", "KILLED")
    assert {name: run.info.status for name, run in runs.items()} == {
        f"din seed {seed}": status for seed, status in enumerate(statuses)
    }
    first = runs["din seed 0"]
    assert len(first.data.params) == len(STARTED.settings) and first.data.params["train.lr"] == "0.001"
    assert first.data.metrics["test/request_ndcg_at_10"] == 0.7 and "test/user_gauc" not in first.data.metrics
    losses = client.get_metric_history(first.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in losses] == [(3, 0.7), (6, 0.6)]
    judged = client.get_metric_history(first.info.run_id, "epoch/valid auc")
    assert [one.step for one in judged] == [1], "a refit is not validated"
    assert runs["din seed 1"].data.tags["reason"] == "why"


def test_cells_of_the_same_name_have_their_own_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    client = fake_mlflow.install(monkeypatch)
    with Display(quiet=True, followers=Followed(mlflow="http://host").start()) as display:
        for event in (CellStarted({}), EpochStarted(1, 1, 9, 0)):
            for one in ALIKE:
                display.handle(one, event)
        for number, one in enumerate(ALIKE):
            display.handle(one, Stepped(9, float(number), 1e4))
            display.handle(one, CellEnded("ok"))
        assert client.status == ["FINISHED"] * len(ALIKE)
    assert client.losses == [[float(number)] for number in range(len(ALIKE))]
    assert client.names == [one.name for one in ALIKE]


def test_the_run_of_a_cell_whose_process_died_is_killed_when_another_one_begins_it(monkeypatch: pytest.MonkeyPatch) -> None:
    client = fake_mlflow.install(monkeypatch)
    with Display(quiet=True, followers=Followed(mlflow="http://host").start()) as display:
        for loss in (0.7, 0.6):
            for event in (CellStarted({}), EpochStarted(1, 1, 9, 0), Stepped(9, loss, 1e4)):
                display.handle(cell(), event)
        assert client.status == ["KILLED", None]
        display.handle(cell(), CellEnded("ok"))
    assert client.status == ["KILLED", "FINISHED"] and client.losses == [[0.7], [0.6]]


@pytest.mark.long
@pytest.mark.parametrize("uri", ["sqlite:////proc/none.db", "folder", "other://place", "http://127.0.0.1:9"])
def test_a_store_that_does_not_answer_is_one_line_before_anything_is_trained(uri: str) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    with pytest.raises(
        UserError, match=r"^--mlflow: .* cannot be used \(.*\); name a database such as sqlite:///mlflow.db, or "
    ) as told:
        Followed(mlflow=uri).start()
    assert not uri.startswith("http") or "(Connection refused)" in str(told.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mysql+none://me:secret@host/db", r"^--mlflow: mysql\+none://me:\*\*\*@host/db cannot be used \(.*\); name a database"),
        ("mysql+pymysql://me:secret@host/db", r"^--mlflow mysql\+pymysql://me:\*\*\*@host/db needs .* pip install pymysql$"),
        ("mysql+pymysql://me:secret@host:port/db", r"^--mlflow: mysql\+pymysql://me:\*\*\*@host:port/db cannot be used "),
    ],
)
def test_a_database_that_cannot_be_asked_is_one_line_without_its_password(
    uri: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    fake_mlflow.install(monkeypatch)
    with pytest.raises(UserError, match=said) as caught:
        Followed(mlflow=uri).start()
    assert "secret" not in str(caught.value)


def test_mlflow_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"pip install 'rankbench\[mlflow\]'"):
        Followed(mlflow="sqlite:///runs.db").start()
