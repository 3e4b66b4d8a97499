"""What Python offers is what the command line does: the same records, the same board, the same verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import rankbench
from rankbench.bench import cli
from support.cache import own_cache
from support.tables import click_table


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)
    return click_table(tmp_path)


def test_runs_boards_and_comparisons(table: Path, tmp_path: Path) -> None:
    asked = ["train.epochs=1", "data.request_window=36000"]
    made = rankbench.run(["ctr", "lr"], table, 2, settings=asked, device="cpu")
    assert [record.status for record in made] == ["ok"] * 4 and made[2].config["train"]["epochs"] == 1
    assert {record.identity for record in rankbench.load_runs()} == {record.identity for record in made}
    board = rankbench.board("results/local", table, variant="request_window=36000.0")
    assert {row.label for row in board.rows} == {"ctr", "lr"}
    arguments = ["board", "--dataset", str(table), "--results", "results/local"]
    assert cli.main(arguments) == 0
    (folder,) = (tmp_path / "results/local/boards").iterdir()
    assert rankbench.load_board(folder) == board == rankbench.load_board(folder / "board.json")
    pair = rankbench.compare("results/local", "lr", "ctr", table, "auc", variant=board.variant)
    rows = {row.label: row.quality["auc"].point for row in board.rows}
    assert pair.difference.value == pytest.approx(rows["lr"] - rows["ctr"], abs=1e-9)
    assert pair.difference.low <= pair.difference.value <= pair.difference.high
    assert pair.verdict in ("better", "worse", "equivalent", "not settled") and pair.basis == "post hoc"


def test_wrong_input_is_one_clear_error(table: Path, tmp_path: Path) -> None:
    with pytest.raises(rankbench.UserError, match="unknown model 'hstuu'; did you mean 'hstu'"):
        rankbench.run(["hstuu"])
    with pytest.raises(rankbench.UserError, match="unknown key in train"):
        rankbench.run(["din"], table, settings=["train.lrr=1"])
    with pytest.raises(rankbench.UserError, match=r"no run matches in results/none, which holds no run at all"):
        rankbench.board("results/none", table)
    with pytest.raises(rankbench.UserError, match=r"board.json does not exist; rankbench board makes it"):
        rankbench.load_board(tmp_path / "board.json")
    (tmp_path / "board.json").write_text(json.dumps({"rows": []}))
    with pytest.raises(rankbench.UserError, match="make it again with rankbench board"):
        rankbench.load_board(tmp_path)
    rankbench.run(["ctr"], table, 1, device="cpu")
    with pytest.raises(rankbench.UserError, match="no row 'din' in results/local; there are ctr"):
        rankbench.compare("results/local", "din", "ctr", table)


def test_the_package_itself_brings_no_torch_and_has_what_it_names() -> None:
    code = "import sys, rankbench; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert all(callable(getattr(rankbench, name)) for name in rankbench.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rankbench.nothing  # noqa: B018
