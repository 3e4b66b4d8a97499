"""One command packs the finished cells of a folder, its studies and the stores below it, and unpacks them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.records.store import Store
from support.records import predictions, record
from support.shell import refused

FRAME = predictions(1.0, users=40, rows=10)


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    root = Store(Path("results"))
    every = [root, root.of_study("heads"), Store(Path("results/more")), Store(Path("results/local"))]
    for store in every:
        store.write(record("din", FRAME), FRAME)
    return every


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_stores_but_ones_own_are_packed_and_unpacked(stores: list[Store], capsys: pytest.CaptureFixture[str]) -> None:
    before = files(Path("results"))
    assert cli.main(["pack", "--results", "results"]) == 0
    assert capsys.readouterr().out == "cells packed in results: 3; left loose: 0\n"
    assert [len(list(store.runs.rglob("*.zip"))) for store in stores] == [1, 1, 1, 0]
    assert [len(list(store.runs.rglob("*.json"))) for store in stores] == [0, 0, 0, 1]
    packed = files(Path("results"))
    assert cli.main(["pack", "--results", "results"]) == 0
    assert capsys.readouterr().out == "cells packed in results: 0; left loose: 0\n"
    assert files(Path("results")) == packed
    assert cli.main(["pack", "--results", "results/local"]) == 0
    assert capsys.readouterr().out == "cells packed in results/local: 1; left loose: 0\n"
    for folder in ("results", "results/local"):
        assert cli.main(["pack", "--results", folder, "--unpack"]) == 0
    assert files(Path("results")) == before


def test_what_stays_loose_is_named(stores: list[Store], capsys: pytest.CaptureFixture[str]) -> None:
    stores[1].write(record("din", None, 1), None)
    assert cli.main(["pack", "--results", "results"]) == 0
    said = capsys.readouterr()
    assert said.out == "cells packed in results: 2; left loose: 1\n"
    assert said.err.startswith("left loose: results/studies/heads/runs/") and "seed-1.json is of a run that failed" in said.err


def test_a_broken_file_anywhere_stops_it_before_anything_is_moved(
    stores: list[Store], capsys: pytest.CaptureFixture[str]
) -> None:
    stores[2].record_path(record("din", FRAME).identity).write_text("{")
    before = files(Path("results"))
    assert "results/more/runs/" in refused(capsys, "pack", "--results", "results")
    assert files(Path("results")) == before


def test_a_folder_without_runs_is_wrong_usage(stores: list[Store], capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run in nothing; it must hold runs/" in refused(capsys, "pack", "--results", "nothing")
