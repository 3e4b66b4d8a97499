"""Models trained and asked on a log, and on the same log before some moment: what was asked before it is answered alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data import dataset
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.splits import TEST, TRAIN, VALID, Split, make_split
from rankbench.bench.data.visibility import Requests
from rankbench.bench.evaluation import evaluator
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train
from support.logs import raw_log

CPU = torch.device("cpu")
TRAINED = TrainConfig(epochs=1, batch_size=256, batch_events=512, lr=0.01)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RankingData, RankingData, int]:
    """The whole log, the log before a moment in the test's time, and that moment."""
    folder = tmp_path_factory.mktemp("logs")
    raw = raw_log(seed=3, users=40, longest=60)
    first, second, moment = (int(time) for time in np.quantile(raw.events["time"], [0.7, 0.8, 0.9]))

    def split(log: EventLog, name: str, requests: Requests) -> Split:
        role = np.where(log.time < first * 1000, TRAIN, np.where(log.time < second * 1000, VALID, TEST)).astype(np.uint8)
        return dataclasses.replace(make_split(log, "global-time", requests), role=role)

    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "make_split", split)
        for at, events in enumerate((raw.events, raw.events[raw.events["time"] < moment].reset_index(drop=True))):
            log = write_log(dataclasses.replace(raw, events=events), folder / str(at))
            found.append(prepare_log(log, DataConfig("tiny", history_length=6)))
    return found[0], found[1], moment * 1000


def answers(name: str, data: RankingData, file: Path) -> pd.Series:
    """Score of every test example, by what it is; examples that agree in that are told apart by their order."""
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(info.config(), data.spec)
    train(model, info, data, TRAINED, 0, CPU, Checkpoint(file, "test"), Quiet())
    # Finer than they are kept: at the border of two steps rounding in another batch would decide.
    batches = make_batches(data, info.view, "test", TRAINED.batch_size, TRAINED.batch_events)
    score = evaluator.predict_labels(evaluator.Forward(model, CPU, "fp32"), batches, data)[:, 0]
    frame = evaluator.rows(data, "test")
    what = pd.DataFrame(
        {
            "user": data.log.dictionary("user")[frame["user"].to_numpy()],
            "item": data.log.dictionary("item")[frame["item"].to_numpy()],
            "time": frame["time"].to_numpy(),
        }
    )
    what["again"] = what.groupby(["user", "item", "time"]).cumcount()
    return pd.Series(score, pd.MultiIndex.from_frame(what))


@pytest.mark.parametrize("name", registry.MODELS)
def test_later_events_change_no_earlier_answer(name: str, logs: tuple[RankingData, RankingData, int], tmp_path: Path) -> None:
    """Trained anew: not even what a model draws at random depends on what comes later."""
    whole, before, moment = logs
    assert before.log.meta.events < whole.log.meta.events and before.spec == whole.spec
    long, short = (answers(name, data, tmp_path / f"{at}.pt") for at, data in enumerate((whole, before)))
    asked = short.index
    assert len(asked) > 50 and (asked.get_level_values("time") < moment).all()
    assert np.abs(long.loc[asked].to_numpy() - short.to_numpy()).max() < 2e-6
