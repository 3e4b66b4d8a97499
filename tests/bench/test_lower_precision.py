"""What a precision does to quality: paired by user and seed, in the four words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.cli import main
from rankbench.bench.evaluation.predictions import Predictions
from rankbench.bench.evaluation.stats import compare
from rankbench.bench.lower_precision import WATCHED, differences
from support.cache import own_cache
from support.shell import refused
from support.tables import click_table


def predictions(apart: float, seeds: int = 3) -> Predictions:
    """Scores of several seeds that differ much from each other, and the same ones with noise of size `apart`."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(80), 30)
    label = rng.integers(0, 2, len(user))
    exact = [1 / (1 + np.exp(-(label + rng.normal(0, 1 + 0.5 * seed, len(user))))) for seed in range(seeds)]
    other = [np.clip(score + apart * rng.normal(0, 1, len(user)), 1e-4, 1 - 1e-4) for score in exact]
    return Predictions(label, user, user * 10 + np.tile(np.arange(30) // 10, 80), {"fp32": exact, "int8": other})


def test_what_does_not_change_differs_by_nothing() -> None:
    for metric, value, apart in differences(predictions(0.0), "fp32", "int8"):
        assert apart.value == pytest.approx(0, abs=1e-12) and apart.low == pytest.approx(0, abs=1e-9) == pytest.approx(apart.high)
        assert value > 0, metric


def test_the_difference_is_paired_by_seed() -> None:
    """The noise of training is in both and cancels, as it does not where models are compared that were trained apart."""
    made = predictions(0.02)
    for metric, _, apart in differences(made, "fp32", "int8"):
        unpaired = compare(made, metric).difference("int8", "fp32")
        assert apart.value == pytest.approx(unpaired.value, abs=1e-12)
        assert 0 < apart.high - apart.low < 0.5 * (unpaired.high - unpaired.low)


def test_harm_is_found() -> None:
    found = {metric: apart for metric, _, apart in differences(predictions(0.5), "fp32", "int8")}
    assert set(found) == set(WATCHED)
    assert found["request_gauc"].high < 0 and found["auc"].high < 0 and found["logloss"].low > 0


def test_wrong_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be of bf16 and int8" in refused(capsys, "precision", "w", "--precision", "fp32")
    assert "do not exist" in refused(capsys, "precision", "none.safetensors")


@pytest.mark.long
def test_the_command_says_a_word_for_each_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    table = str(click_table(tmp_path))
    run = ["run", "--models", "din", "--seeds", "2", "--set", "train.epochs=1", "--quiet", "--jobs", "1", "--device", "cpu"]
    assert main([*run, "--dataset", table]) == 0
    files = sorted(map(str, (tmp_path / "results").rglob("seed-*.safetensors")))
    capsys.readouterr()
    assert main(["precision", *files, "--dataset", table, "--device", "cpu"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) == 1 + 2 * len(WATCHED) and any("of linear weights" in line for line in lines)
    cell = Path(files[0]).parent.name
    found = json.loads((tmp_path / f"results/local/precision-clicks-din-{cell}.json").read_text())["changes"]
    assert {(one["precision"], one["metric"]) for one in found} == {(name, of) for name in ("bf16", "int8") for of in WATCHED}
    assert all(one["word"] in ("better", "worse", "equivalent", "not settled") for one in found)
    apart = [one["difference"] for one in found if one["metric"] != "request_gauc"]  # hardly a request here has two events
    assert all(one["low"] <= one["value"] <= one["high"] for one in apart)
    assert "same seed" in refused(capsys, "precision", files[0], files[0], "--dataset", table)
