"""A public leaderboard over runs that are made up: a results folder with a reference, and folders of others who submit to it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rankbench.bench.identity import config_hash
from rankbench.bench.public.board import PublicBoard, read
from rankbench.bench.public.entrant import reference
from rankbench.bench.public.row import PublicRow
from rankbench.bench.public.rules import OWN
from rankbench.bench.public.submission import Submission, submit, view_of
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from support.records import DATA, predictions, record

SEEDS = 3
VERSION: dict[str, Any] = {
    "version": 1,
    "date": "2026-01-01",
    "changes": "The first one.",
    "comparable": [],
    "allowance": {"seeds": SEEDS, "trials": 5, "epochs": 20},
    "tracks": [
        {
            "dataset": "toy",
            "split": "global-time",
            "content_hash": "c" * 64,
            "split_hash": "f" * 64,
            "data": {key: value for key, value in dataclasses.asdict(DATA).items() if key not in OWN},
            "reference": {"store": ".", "model": "din", "config_hash": ""},
        }
    ],
}


def run_of(model: str, skill: float, seed: int, config: Mapping[str, Any] | None = None, **changes: Any) -> RunRecord:
    """A finished run whose config has its own hash; `config` replaces settings of its sections."""
    made = record(model, predictions(skill, seed), seed, **changes)
    own = {
        key: {**value, **(config or {}).get(key, {})} if isinstance(value, dict) else value for key, value in made.config.items()
    }
    identity = dataclasses.replace(made.identity, config_hash=config_hash(own))
    return dataclasses.replace(made, config=own, identity=identity)


def runs(root: Path, model: str, skill: float, seeds: int = SEEDS, **changes: Any) -> Path:
    """A results folder with the runs of a model."""
    for seed in range(seeds):
        Store(root).write(run_of(model, skill, seed, **changes), predictions(skill, seed))
    return root


def public(results: Path, *more: dict[str, Any]) -> Path:
    """The folder of a board without rows, in a results folder with the runs of its reference, a DIN of skill 1.

    Args:
        more: further versions.
    """
    runs(results, "din", 1.0)
    first = json.loads(json.dumps(VERSION))  # tuples as lists
    first["tracks"][0]["reference"]["config_hash"] = run_of("din", 1.0, 0).identity.config_hash
    root = results / "public"
    root.mkdir()
    (root / "versions.yaml").write_text(yaml.safe_dump([first, *more]))
    return root


def submitted(folder: Path, root: Path, asked: Submission | None = None) -> tuple[list[PublicRow], list[str]]:
    """The rows that a submission wrote, and what it told of others."""
    written, told = submit(
        view_of(folder, read(root)), root, lambda track: reference(track, root.parent), asked or Submission("A. Person")
    )
    board: PublicBoard = read(root)
    return [row for row in board.rows.values() if row.path(root) in written], told
