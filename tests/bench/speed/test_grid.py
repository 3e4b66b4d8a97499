"""The grid of attention shapes: what a row counts, who stands in it, and that each row is kept when it is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rankbench.bench import cli
from rankbench.bench.speed import grid
from rankbench.bench.speed.grid import GridCase, lines, measure

CPU = torch.device("cpu")
TINY = GridCase(2, 5, 4, bias=True, ragged=False, heads=2)


@pytest.mark.parametrize("bias", [True, False])
def test_a_row_counts_what_is_seen(bias: bool) -> None:
    case = GridCase(2, 5, 4, bias, ragged=False, heads=2)
    ours, *others = measure(case, CPU, torch.float32, rounds=1)
    assert ours.tokens == 10 and ours.pairs == 2 * 15 and ours.flop == 2 * ours.pairs * 2 * 7 * 4
    assert ours.error is not None and ours.error < 1e-5
    assert ours.forward_ms and ours.both_ms and ours.megabytes
    assert [row.contender for row in others] == list(grid.OTHERS)
    ran = {row.contender for row in others if row.refused is None}
    assert ran == ({"dense"} if bias else {"dense", "sdpa"})
    assert all(row.both_ms is None for row in others if row.refused)


def test_dense_tensors_are_the_same_mathematics() -> None:
    case = GridCase(2, 5, 4, bias=False, ragged=False, heads=2)
    x = grid._Inputs(case, case.lengths(), CPU, torch.float64)
    run, _, _ = grid._ours("torch")(x)
    dense, _, _ = grid._dense(x)
    assert torch.allclose(dense().transpose(1, 2).flatten(0, 1), run(), atol=1e-12)


def test_the_published_grid_is_whole() -> None:
    cases = grid.cases(tiny=False)
    assert {(case.length, case.size) for case in cases} >= {(n, d) for n in (256, 1024, 2048, 4096) for d in (64, 128)}
    assert len(cases) == len(set(cases)) == 4 * len({(case.length, case.size) for case in cases})
    ragged = GridCase(32, 1024, 64, True, True)
    assert ragged.lengths() == ragged.lengths() and max(ragged.lengths()) <= 1024 and len(set(ragged.lengths())) > 1


def test_the_command_keeps_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def ends_early(*_: object) -> object:
        yield from list(measure(TINY, CPU, torch.float32, 1))[:2]
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grid, "cases", lambda tiny: [TINY])
    monkeypatch.setattr(grid, "measure", ends_early)
    assert cli.main(["speed", "kernels", "--grid", "tiny", "--device", "cpu"]) != 0
    record = json.loads((tmp_path / "results/local/kernels-cpu-fp32-1-grid=tiny.json").read_text())
    assert [row["contender"] for row in record["rows"]][1:] == ["dense"]


def test_ours_is_measured_on_every_case_before_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others may take longer to be compiled than a card is lent for; the table stands case by case all the same."""
    monkeypatch.chdir(tmp_path)
    cases = [TINY, GridCase(2, 4, 4, bias=False, ragged=False, heads=2)]
    monkeypatch.setattr(grid, "cases", lambda tiny: cases)
    assert cli.main(["speed", "kernels", "--grid", "tiny", "--device", "cpu"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.endswith("...")]
    assert said == [f"{case.name}, {who} ..." for who in ("ours", "others") for case in cases]
    record = json.loads((tmp_path / "results/local/kernels-cpu-fp32-1-grid=tiny.json").read_text())
    assert [row["case"] for row in record["rows"]] == [case.name for case in cases for _ in range(1 + len(grid.OTHERS))]


def test_a_contender_that_cannot_says_why() -> None:
    table = lines(
        [grid.GridRow("c", "meta", 1, 1, 1.0, refused="no such thing"), grid.GridRow("c", "cpu", 10, 9, 2e9, 1.0, 4.0, 2.0)]
    )
    assert "not run: no such thing" in table[-2] and "| 1.000 | 3.000 | 4.000 | 0.5 | 2,500 | 2.0 |" in table[-1]
