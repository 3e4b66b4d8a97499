"""Small event logs with everything in them that can go wrong: ties, empty histories, cold users, several values, gaps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.sources.schema import Feature, RawLog, Schema, SourceFile

DAY = 86_400


def raw_log(seed: int = 0, users: int = 30, items: int = 25, longest: int = 40, seconds: int = 3) -> RawLog:
    """Random events; `seconds` small makes many ties. Some users come late, so that a global split has cold ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        n = int(rng.integers(1, longest + 1))
        begin = 1_600_000_000 + int(rng.integers(0, 30 * DAY))
        times = begin + np.cumsum(rng.integers(0, seconds, n) * rng.choice([1, 1, 3_000, DAY // 2], n))
        for when in times:
            item = int(items * rng.random() ** 2)
            rating = int(np.clip(rng.normal(3 + (item % 3 - 1) + (user % 2), 1), 1, 5))
            rows.append((f"u{user}", f"i{item}", int(when), rating, ["home", "search", "feed"][int(rng.integers(3))]))
    events = pd.DataFrame(rows, columns=["user", "item", "time", "rating", "page"]).sample(frac=1, random_state=seed)
    return RawLog(
        name="tiny",
        events=events.reset_index(drop=True),
        users=pd.DataFrame(
            {"age": rng.integers(18, 70, users).astype(float), "job": rng.choice(["a", "b", "c"], users)},
            index=[f"u{u}" for u in range(users)],
        ),
        items=pd.DataFrame(
            {"genres": [" ".join(rng.choice(["x", "y", "z", "w"], rng.integers(0, 4), replace=False)) for _ in range(items)]},
            index=[f"i{i}" for i in range(items)],
        ),
        schema=Schema(
            label="rating >= 4",
            action=("rating",),
            user_features=(Feature("age", "number"), Feature("job")),
            item_features=(Feature("genres", "multi"),),
            context_features=(Feature("page"),),
        ),
        files=(SourceFile("tiny.csv", "made by a test", "0" * 64, 0),),
        licence="none",
        citation="none",
    )


def make_log(folder: Path, **options: int) -> EventLog:
    """A converted random log in `folder`."""
    return write_log(raw_log(**options), folder)


def log_of_days(folder: Path, days: int) -> EventLog:
    """A random log of so many days, of about as many events each."""
    raw = raw_log(users=60)
    time = 1_600_000_000 // DAY * DAY + (DAY * days * np.random.default_rng(0).random(len(raw.events))).astype(int)
    return write_log(dataclasses.replace(raw, events=raw.events.assign(time=time)), folder)


def make_data(folder: Path, config: DataConfig | None = None, **options: int) -> RankingData:
    """A random log, split and ready for batches."""
    return prepare_log(make_log(folder, **options), config or DataConfig(dataset="tiny", history_length=6))


def with_config(data: RankingData, **changes: object) -> RankingData:
    """The same log under changed data settings."""
    return prepare_log(data.log, dataclasses.replace(data.config, **changes))  # type: ignore[arg-type]


def changed(data: RankingData, folder: Path, **columns: np.ndarray) -> RankingData:
    """The same split and vocabulary over a log in which whole columns (label, action, item, time) were replaced."""
    import shutil

    shutil.copytree(data.log.folder, folder)
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)
    log = EventLog(folder, data.log.meta)
    vocabulary = dataclasses.replace(data.vocabulary, action_of_event=action_ids(data, log))
    return dataclasses.replace(data, log=log, vocabulary=vocabulary)


def action_ids(data: RankingData, log: EventLog) -> np.ndarray:
    """Model ids of the actions of a changed log, by the lookup of the unchanged one."""
    lookup = np.ones(int(max(data.log.action.max(), log.action.max())) + 1, dtype=np.int32)
    lookup[data.log.action] = data.vocabulary.action_of_event
    return lookup[log.action]
