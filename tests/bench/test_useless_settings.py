"""A setting that does nothing, or that nothing can be trained with, is an error before anything runs: one line, exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rankbench.bench import cli
from support.tables import click_table

pytestmark = pytest.mark.usefixtures("own_folders")

INFINITE = "must be a finite number"


def refused(capsys: pytest.CaptureFixture[str], models: str, *more: str) -> str:
    """The one line, after checking that there is no other and that nothing was stored."""
    fixed = ("--dataset", "clicks.yaml", "--device", "cpu", "--seeds", "1", "--jobs", "1", "--quiet", "--results", "out")
    assert cli.main(["run", *fixed, "--models", models, *more]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rankbench: error: "), lines
    assert not [path for path in Path("out").rglob("*") if path.is_file()]
    return lines[0]


@pytest.mark.parametrize(
    ("models", "assignment", "message"),
    [
        ("lr", "din.nonsense=1", "--set has settings of din, which does not run here (--models lr)"),
        ("lr", "din.dropout=.1", "--set has settings of din, which does not run here (--models lr)"),
        ("lr,din", "din.nonsense=1", "unknown key in din 'nonsense'"),
        ("ctr,popularity", "train.lr=.1", "train.lr does nothing: popularity learns by counting"),
        ("ctr,lr", "ctr.train.lr=.1", "ctr.train.lr does nothing: ctr learns by counting"),
        ("hstu", "train.batch_size=8", "train.batch_size does nothing: hstu is trained on sequence batches"),
        ("din,hstu", "din.train.batch_events=8", "din.train.batch_events does nothing: din is trained on pointwise batches"),
        ("lr", "data.repeats=true", "data.repeats=True does nothing beside the other settings of lr"),
        ("lr", "data.test_negative_rate=5", "data.test_negative_rate=5 does nothing beside the other settings of lr"),
        ("ctr,popularity", "train.loss=pairwise", "train.loss does nothing: popularity learns by counting"),
        ("lr", "train.loss_weight=2", "train.loss_weight=2.0 does nothing beside the other settings of lr"),
        (
            "hstu",
            "train.batches=requests",
            "train.batches does nothing: hstu is trained on segments of sequences, which hold whole",
        ),
        (
            "lr",
            "train.loss=listwise",
            "train.loss=listwise has nothing to compare: no request has both labels among the training",
        ),
        ("ctr", "train.order=time", "train.order=time goes through the windows of a stream, and clicks@global-time has none"),
        ("hstu", "hstu.experts=4", "experts=4 does nothing beside the other settings of hstu"),
    ],
)
def test_a_setting_that_does_nothing_is_refused(
    models: str, assignment: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    click_table(tmp_path, rows=300)
    assert message in refused(capsys, models, "--set", assignment)


def test_sections_of_a_config_file_for_models_that_do_not_run_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text("train: {epochs: 1}\nhstu: {width: 32}\n")
    line = refused(capsys, "lr,din", "--config", "my.yaml")
    assert "config file my.yaml has settings of hstu, which does not run here (--models lr,din)" in line
    assert "has settings of hstu, which does not run" in refused(capsys, "lr", "--set", "hstu.width=32", "--config", "my.yaml")


@pytest.mark.parametrize(
    ("models", "assignment", "message"),
    [
        ("din", "din.dropout=2", "din.dropout must be below 1, not 2"),
        ("din", "din.dropout=-1", "din.dropout must be at least 0, not -1"),
        ("hstu", "hstu.width=0", "hstu.width must be at least 1, not 0"),
        ("dnn", "dnn.hidden=[200, 0]", "dnn.hidden[1] must be at least 1, not 0"),
        ("deepfm", "deepfm.hidden=[]", "deepfm.hidden must be a list of at least 1"),
        ("gbdt", "gbdt.feature_share=1.5", "gbdt.feature_share must be at most 1, not 1.5"),
        ("din", "train.lr=.inf", f"train.lr {INFINITE}, not inf"),
        ("din", "train.lr=.nan", f"train.lr {INFINITE}, not nan"),
        ("din", "train.batch_size=-5", "train.batch_size must be at least 1, not -5"),
        ("din", "data.feedback_delay=.inf", f"data.feedback_delay {INFINITE}, not inf"),
        ("din", "data.feedback_delay=1e30", "data.feedback_delay must be at most"),
        ("din", "data.request_window=-1", "data.request_window must be at least 0, not -1"),
        ("din", "data.history_length=0", "data.history_length must be at least 1, not 0"),
    ],
)
def test_an_impossible_value_is_refused(
    models: str, assignment: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert message in refused(capsys, models, "--set", assignment)


@pytest.mark.parametrize("option", ["--threads", "--jobs"])
def test_more_threads_than_a_machine_bears_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    most = 8 * (os.cpu_count() or 1)
    assert cli.main(["run", option, "999999"]) == 2
    assert f"must be at most {most}, eight for each core of this machine, not 999999" in capsys.readouterr().err
