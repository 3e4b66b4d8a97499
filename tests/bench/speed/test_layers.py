"""The padded stack is the same mathematics as ours, and the command keeps what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.speed import layers
from rankbench.bench.speed.layers import LayerShape, LayerTime, lines, measure


@pytest.mark.parametrize("half", [False, True])
def test_both_stacks_agree(half: bool) -> None:
    packed, padded = measure(LayerShape(3, 9, 8, 2, 2, half), rounds=2)
    assert (packed.stack, padded.stack) == ("packed", "padded") and packed.tokens == padded.tokens
    assert packed.tokens == 27 if not half else packed.tokens < 27
    assert packed.difference == padded.difference < 1e-5
    assert len(packed.wall) == len(padded.cpu) == 2 and min(packed.wall) > 0


def test_a_difference_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = layers._packed
    monkeypatch.setattr(layers, "_packed", lambda case: [one * 1.01 for one in own(case)])
    assert measure(LayerShape(3, 9, 8, 2, 1, True), rounds=1)[0].difference > 1e-3


def test_ratios_are_taken_round_by_round() -> None:
    rows = [LayerTime("s", "packed", 10, [1.0, 2.0], [1.0, 2.0], 0.0), LayerTime("s", "padded", 10, [4.0, 8.0], [5.0, 10.0], 0.0)]
    assert "| s | 10 | 1500.0 | 6000.0 | 4.00 [4.00, 4.00] | 5.00 [5.00, 5.00] | 0e+00 |" in lines(rows)


def test_the_command_keeps_a_record_and_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layers, "SHAPES", (LayerShape(2, 5, 8, 1, 1, True),))
    assert cli.main(["speed", "layers", "--rounds", "1"]) == 0
    record = json.loads((tmp_path / "results/local/layers-cpu-1.json").read_text())
    assert [row["stack"] for row in record["rows"]] == ["packed", "padded"]
    assert (tmp_path / "results/local/layers-cpu-1.png").stat().st_size > 5000
    assert "B2 N5 D8 h1 L1 half" in capsys.readouterr().out
