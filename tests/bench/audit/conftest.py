"""A small genuine folder, made by real runs once, and its copies, which tests falsify."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankbench.bench.audit.finding import Finding
from rankbench.bench.audit.folder import AuditMeans, check
from rankbench.bench.audit.history import Repository
from rankbench.bench.config import Settings
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.identity import config_hash
from rankbench.bench.records.store import Store
from rankbench.bench.runs import schedule
from rankbench.bench.runs.cell import plan
from support.cache import own_cache
from support.tables import click_table

MODELS = ("popularity", "lr", "dnn")


@dataclass(frozen=True)
class Folder:
    """Somebody's results, and the table that they are of."""

    root: Path
    table: Path
    roots: DataRoots

    def path(self, model: str, seed: int) -> Path:
        (path,) = (self.root / "runs").glob(f"*/{model}/*/seed-{seed}.json")
        return path

    def change(self, model: str, seed: int, change: Callable[[dict[str, Any]], None], settings: bool = False) -> None:
        """Falsify a record.

        Args:
            settings: it is the config, and its hash and place are made to fit.
        """
        path = self.path(model, seed)
        raw = json.loads(path.read_text())
        change(raw)
        home = path
        if settings:
            before = raw["identity"]["config_hash"]
            raw["identity"]["config_hash"] = config_hash(raw["config"])
            home = path.parent.parent / path.parent.name.replace(before, raw["identity"]["config_hash"]) / path.name
            home.parent.mkdir(exist_ok=True)
            shutil.move(path.with_suffix(".scores.npz"), home.with_suffix(".scores.npz"))
            path.unlink()
        home.write_text(json.dumps(raw))

    def codes(self, model: str, seed: int) -> np.ndarray:
        with np.load(self.path(model, seed).with_suffix(".scores.npz")) as file:
            return file["score"]

    def set_codes(self, model: str, seed: int, codes: np.ndarray) -> None:
        path = self.path(model, seed).with_suffix(".scores.npz")
        with np.load(path) as file:
            rows = file["rows"]
        np.savez_compressed(path, allow_pickle=False, rows=rows, score=codes.astype(np.int16))

    def findings(self, data: bool = False, retrain: int = 0, seed: int = 0) -> list[Finding]:
        """Of a check that has the data, or has not."""
        return check(self.root, AuditMeans(self.roots, str(self.table) if data else None, retrain, seed))

    def wrong(self, data: bool = False) -> list[str]:
        """The lines about what is wrong."""
        return [str(one) for one in self.findings(data) if one.kind == "wrong"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Three seeds of a floor that counts, of one that is trained, and of a network."""
    folder = tmp_path_factory.mktemp("genuine")
    table, roots = click_table(folder, rows=3000), DataRoots(root=None, cache=own_cache(folder))
    settings = Settings(data={"dataset": str(table)}, train={"epochs": 2, "lr": 0.01})
    cells = plan(MODELS, settings, 3)
    records = schedule.run_all(cells, schedule.Options(Store(folder / "theirs"), roots, quiet=True, jobs=1))
    assert {record.status for record in records} == {"ok"}
    history = Repository.here()
    for path in (folder / "theirs").rglob("seed-*.json"):
        raw = json.loads(path.read_text())
        name = "ab" * 20
        if history is not None:
            name = history.head()
            commit = history.commit(name)
            assert commit is not None
            raw["environment"]["code_hash"] = commit.code_hash
        raw["environment"] |= {"git_commit": name, "git_dirty": False}
        path.write_text(json.dumps(raw))
    return Folder(folder / "theirs", table, roots)


@pytest.fixture
def folder(made: Folder, tmp_path: Path) -> Folder:
    """A copy of its own."""
    shutil.copytree(made.root / "runs", tmp_path / "theirs" / "runs")
    return Folder(tmp_path / "theirs", made.table, made.roots)
