"""What processes send each other: counted for a model by kind, projected as a ring sends it, and measured where a ring runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rankbench.bench import cli, registry
from rankbench.bench.config import DataConfig
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.speed.exchange import ROW_ID, Exchange, count, lines
from support import ring_bytes
from support.logs import make_data
from support.tables import click_table


@pytest.mark.parametrize("name", ["din", "hstu"])
def test_kinds_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    data = make_data(tmp_path, DataConfig("tiny", history_length=6), users=20)
    found, info = count(name, data, torch.device("cpu")), registry.info(name)
    model = info.build(info.config(), data.spec)
    embedding, dense = evaluator.parameter_counts(model)
    assert (found.tables, found.dense) == (4 * embedding, 4 * dense)
    assert (found.averages > 0) == (name == "din"), "Dice has averages"
    assert found.total == found.dense + found.tables + found.averages + found.counts
    rows = sum(module.num_embeddings for module in model.modules() if isinstance(module, torch.nn.Embedding))
    assert 0 < found.rows_read < rows, "padding is never read"
    assert found.rows_bytes > found.rows_read * ROW_ID


def test_what_is_not_trained_by_gradients_sends_nothing(tmp_path: Path) -> None:
    data = make_data(tmp_path, DataConfig("tiny", history_length=6), users=20)
    with pytest.raises(UserError, match="trained by gradients, not ctr"):
        count("ctr", data, torch.device("cpu"))


def test_the_projection_is_that_of_a_ring() -> None:
    one = Exchange("m", 10, dense=600, tables=400, averages=0, counts=0, rows_read=5, rows_bytes=50)
    assert [one.ring(cards) for cards in (1, 2, 4)] == [0, 1000, 1500]
    assert [one.rows_alone(cards) for cards in (1, 2, 4)] == [0, 600 + 50, 900 + 150]
    assert "| m | 4 | 0.002 | 0.000 | 0.001 | 0.000 |" in lines([one], (4,), 25)


def test_the_command_shows_and_keeps_it(own_folders: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    click_table(tmp_path, rows=300)
    words = ("speed", "exchange", "--models", "deepfm", "--dataset", "clicks.yaml", "--device", "cpu", "--results", "out")
    assert cli.main((*words, "--cards", "8,64")) == 0
    shown = capsys.readouterr().out
    assert "| deepfm | 8 |" in shown and "| deepfm | 64 |" in shown
    (row,) = json.loads((tmp_path / "out/exchange-clicks-models=deepfm.json").read_text())["rows"]
    assert f"| {row['tables']:,} |" in shown
    assert cli.main((*words, "--cards", "8,1")) == 2
    assert "must be whole numbers above 1, separated by commas, not '8,1'" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("size", [2, 4])
def test_gloo_sends_what_the_ring_says(size: int) -> None:
    """Within 2 %: heads of packets and their receipts are counted too."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--net", "true"], capture_output=True).returncode != 0:
        pytest.skip("a network of its own needs unshare and the right to use it")
    one = Exchange("m", 1, dense=2**20, tables=0, averages=0, counts=0, rows_read=0, rows_bytes=0)
    done = subprocess.run(
        [unshare, "--net", sys.executable, ring_bytes.__file__, str(size), str(one.total)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == pytest.approx(one.ring(size), rel=0.02)
