"""Finding FuxiCTR, calling it, keeping what it says; a script stands in for its Python, but for one test."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench import cli
from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.peers.fuxictr import (
    MODELS,
    Arm,
    Peer,
    PeerFailed,
    find_peer,
    model_file,
    parameters,
    prepare,
    run_cells,
    time_epoch,
)
from rankbench.bench.peers.fuxictr_rows import peer_rows
from rankbench.bench.peers.quality import arms_of
from support.cache import own_cache
from support.fuxictr import model_zoo, stand_in
from support.logs import make_data
from support.tables import click_table

ARMS = arms_of([0.0, 0.2])


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return model_zoo(tmp_path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log"), DataConfig("tiny", history_length=6, time="none", split="chrono-rank"))


def run(peer: Peer, data: RankingData, kept: Path, said: list[str]) -> None:
    for trained in run_cells(peer, data, ARMS, 2, kept, 2, 1, said.append).values():
        assert len(trained) == 2 and trained[0].epochs == 3
        label = data.log.label[data.split.examples("test")]
        assert np.allclose(trained[1].score, 0.21 + 0.6 * label)


@pytest.mark.long
def test_cells_are_run_once_and_kept(data: RankingData, zoo: Path, tmp_path: Path) -> None:
    peer = find_peer(stand_in(tmp_path), zoo, MODELS)
    assert peer.versions["fuxictr"] == "0.0" and set(peer.files) == set(MODELS)
    said: list[str] = []
    run(peer, data, tmp_path / "kept", said)
    assert sum("epochs" in line for line in said) == len(ARMS) * len(MODELS) * 2
    run(peer, data, tmp_path / "kept", said := [])
    assert said == []
    model_file(zoo, "din").write_text("# another snapshot")
    run(find_peer(peer.python, zoo, MODELS), data, tmp_path / "kept", said)
    assert sum("epochs" in line for line in said) == len(ARMS) * 2, "another file is another cell"


def test_a_failed_run_says_its_last_words(data: RankingData, zoo: Path, tmp_path: Path) -> None:
    peer = find_peer(stand_in(tmp_path, broken=True), zoo, ["din"])
    with pytest.raises(PeerFailed, match=r"FuxiCTR failed at din seed 0 \(liked\): it broke"):
        run_cells(peer, data, [Arm("liked", 0.0)], 1, tmp_path / "kept", 1, 1, print)


def test_kept_scores_of_other_rows_are_refused(data: RankingData, zoo: Path, tmp_path: Path) -> None:
    peer, arms = find_peer(stand_in(tmp_path), zoo, ["din"]), [Arm("liked", 0.0)]
    run_cells(peer, data, arms, 1, tmp_path / "kept", 1, 1, print)
    (file,) = (tmp_path / "kept").rglob("*.predictions.parquet")
    import pandas as pd

    table = pd.read_parquet(file)
    table.assign(label=1 - table["label"]).to_parquet(file)
    with pytest.raises(PeerFailed, match="not about our test rows"):
        run_cells(peer, data, arms, 1, tmp_path / "kept", 1, 1, print)


@pytest.mark.parametrize(
    ("suffix", "wrong"), [("facts.json", "is not JSON .*; delete it and run again"), ("parquet", "cannot be read")]
)
def test_a_kept_file_that_was_cut_is_one_line(data: RankingData, zoo: Path, tmp_path: Path, suffix: str, wrong: str) -> None:
    peer, arms = find_peer(stand_in(tmp_path), zoo, ["din"]), [Arm("liked", 0.0)]
    run_cells(peer, data, arms, 1, tmp_path / "kept", 1, 1, print)
    (file,) = (tmp_path / "kept").rglob(f"*{suffix}")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match=wrong):
        run_cells(peer, data, arms, 1, tmp_path / "kept", 1, 1, print)


def test_what_is_missing_is_named(zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no DIN/src/DIN.py; name FuxiCTR's folder model_zoo"):
        find_peer(sys.executable, tmp_path, ["din"])
    with pytest.raises(UserError, match="did you mean 'bst'"):
        find_peer(sys.executable, zoo, ["bts"])
    with pytest.raises(UserError, match=r"none cannot be run \(No such file"):
        find_peer(str(tmp_path / "none"), zoo, ["din"])
    with pytest.raises(UserError, match=r"cannot use FuxiCTR \(ModuleNotFoundError.*\); docs/results/peers.md says"):
        find_peer(sys.executable, zoo, ["din"])


@pytest.fixture
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)


@pytest.mark.long
@pytest.mark.usefixtures("own_folders")
def test_the_command_compares_prints_and_records(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "peers",
        "quality",
        "--dataset",
        str(click_table(tmp_path)),
        "--models",
        "din",
        "--seeds",
        "2",
        "--dropout",
        "0",
        "0.2",
    ]
    asked += ["--models-from", str(zoo)]
    assert cli.main([*asked, "--results", "kept", "--python", stand_in(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "din, beside FuxiCTR's with the same information (all): **worse**" in shown, "the stand-in knows the labels"
    text = (tmp_path / "kept" / "fuxictr-clicks@chrono-rank.json").read_text()
    record = json.loads(text)
    assert str(tmp_path) not in text and len(text) < 20_000
    assert record["split_hash"] and record["peer"]["versions"]["fuxictr"] == "0.0"
    assert [(one["whose"], one["variant"]) for one in record["rows"]] == [
        ("ours", "no time"),
        ("ours", "defaults"),
        *(("FuxiCTR", arm.name) for arm in ARMS),
    ]
    assert record["settings"]["ours din, no time"]["data"]["time"] == "none"
    assert cli.main([*asked, "--results", "kept", "--python", stand_in(tmp_path, broken=True)]) == 0, "nothing is left to train"
    assert cli.main([*asked, "--python", stand_in(tmp_path, broken=True), "--results", "other"]) == 1
    # Seeds run side by side: which of them breaks first is chance.
    assert re.match(r"failed: FuxiCTR failed at din seed [01] ", capsys.readouterr().err.splitlines()[-1])


def installed(models: Iterable[str]) -> Peer:
    """FuxiCTR itself: RANKBENCH_FUXICTR_PYTHON and RANKBENCH_FUXICTR_MODELS say what --python and --models-from name."""
    python, folder = os.environ.get("RANKBENCH_FUXICTR_PYTHON"), os.environ.get("RANKBENCH_FUXICTR_MODELS")
    if not python or not folder:
        pytest.skip("RANKBENCH_FUXICTR_PYTHON and RANKBENCH_FUXICTR_MODELS are not set")
    return find_peer(python, Path(folder), models)


@pytest.mark.peers
@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_of_fuxictr_itself_is_timed(data: RankingData, tmp_path: Path, workers: int) -> None:
    peer, rows = installed(["din"]), peer_rows(data, "ids")
    prepare(peer, rows, tmp_path)
    facts = time_epoch(peer, "din", parameters("din", Arm("ids", 0.2), rows) | {"num_workers": workers}, 1, tmp_path)
    assert facts["examples"] == len(data.split.examples("train"))
    assert facts["wall_seconds"] > 0 and facts["cpu_seconds"] > 0


@pytest.mark.peers
def test_fuxictr_itself_trains_on_our_rows(data: RankingData, tmp_path: Path) -> None:
    peer = installed(MODELS)
    found = run_cells(peer, data, ARMS, 1, tmp_path, 1, 1, print)
    assert len(found) == len(ARMS) * len(MODELS)
    for (trained,) in found.values():
        assert ((trained.score > 0) & (trained.score < 1)).all() and trained.score.std() > 0
