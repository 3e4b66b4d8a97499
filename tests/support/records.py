"""Finished runs made up for tests of the store and the reports."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from rankbench.bench.config import DataConfig, LogDefaults, TrainConfig
from rankbench.bench.data.content import ContentFacts
from rankbench.bench.data.mismatch import RoleFacts, ValidationMismatch
from rankbench.bench.evaluation import metrics, scores
from rankbench.bench.records import run_files
from rankbench.bench.records.schema import (
    SCHEMA_VERSION,
    Cost,
    CurvePoint,
    DataFacts,
    Environment,
    File,
    Identity,
    Metrics,
    RunRecord,
)
from rankbench.bench.records.store import Store
from rankbench.bench.typed import finite

MISMATCH = RoleFacts(600, {"0": 0.5, "1-19": 0.1, "20-49": 0.1, "50+": 0.3}, 16.0, 0.5, 0.02, 0.0)


def predictions(skill: float, seed: int = 0, users: int = 80, rows: int = 30, cells: int = 0) -> pd.DataFrame:
    """Scores that know the label to the degree of `skill`; the rows are always the same. `cells` adds ties."""
    world = np.random.default_rng(7)
    n = users * rows
    label = world.integers(0, 2, n)
    noise = np.random.default_rng([seed, round(skill * 1000)]).normal(size=n)
    score = 1 / (1 + np.exp(-(skill * (2 * label - 1) + noise)))
    user = np.repeat(np.arange(users), rows)
    return pd.DataFrame(
        {
            "example": np.arange(n),
            "user": user,
            "request": np.arange(n) // 10,
            "item": world.integers(0, 50, n),
            "time": np.arange(n) * 1000,
            "label": label,
            "user_events": np.where(user < users // 2, 1 + user % 60, 0),
            "item_events": np.where(world.random(n) < 0.9, 40, 0),
            "user_gap_days": np.where(user < users // 2, user % 40, -1),
            "score": scores.rounded(np.round(score, 1) if cells else score),
        }
    )


LOG = LogDefaults("global-time", 0.0, positive_only=False)
DATA = DataConfig("toy", test_history="frozen").resolved(LOG)

ENVIRONMENT = Environment(
    "3.11", "Linux", "cpu", 2, 2, 1, 24.0, None, {"torch": "2", "torch-npu": None}, "e" * 64, None, None, ()
)


def record(model: str, frame: pd.DataFrame | None, seed: int = 0, family: str = "classical", **changes: object) -> RunRecord:
    """A record of a run with these predictions; `changes` replace fields of the record."""
    slices = metrics.evaluate(frame) if frame is not None else None
    made = RunRecord(
        schema_version=SCHEMA_VERSION,
        identity=Identity("toy", "global-time", model, family, "0123456789ab", "c" * 64, "f" * 64, seed),
        status="ok" if slices else "failed",
        error=None if slices else "ValueError: it broke",
        config={
            "model": model,
            "data": finite(dataclasses.asdict(DATA)),
            "train": dataclasses.asdict(TrainConfig(monitor="auc")),
            "params": {},
        },
        changed={},
        logit_correction=0.0,
        tuning=None,
        data=DataFacts(
            files=(File("toy.csv", "made by a test", "0" * 64, 10),),
            content=ContentFacts(1, "rating >= 4", (), ("rating",), (), 0.0),
            content_hash="c" * 64,
            split_hash="f" * 64,
            events=9_000,
            users=80,
            items=50,
            examples={"train": 6_000, "valid": 600, "test": 2_400},
            positives={"train": 3_000, "valid": 300, "test": 1_200},
            share_train_after_test=0.0,
            test_rows_warm_user=0.5,
            test_rows_warm_item=0.9,
            cleaning={"rows_read": 9_000},
            bayes_auc=None,
            mismatch=ValidationMismatch(MISMATCH, MISMATCH),
            margin=0.002,
        ),
        metrics=Metrics(slices, slices, metrics.evaluate_labels(frame)) if slices else None,
        cost=Cost(10_000, 500, 3.5 + len(model), 6.0, 20_000.0, 0.2, 1.5, 1.2, 400.0, 5, 3, 100, 9e4, 0.5) if slices else None,
        curve=(CurvePoint(1, 0.6, 0.7, 0.69, 0.61, 1.0),) if slices else None,
        environment=ENVIRONMENT,
        device="cpu",
        precision="fp32",
        kernels={},
        matmul={},
        simulated=False,
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:01:00+00:00",
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def pack(store: Store) -> None:
    """Pack all runs of a store, whatever their files hold."""
    for folder in store.cells():
        pack_cell(folder)


def pack_cell(folder: Path) -> None:
    files = [path for path in folder.iterdir() if run_files.NAME.fullmatch(path.name)]
    run_files.pack(folder, files)
    assert files and not any(path.exists() for path in files)
