"""What the contract of a model is asked with: its scores, and logs that differ only in what no example may know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rankbench.bench.contract import ModelInfo, Ranker
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.evaluation import evaluator

from .logs import changed


def scores(model: Ranker, info: ModelInfo, data: RankingData, role: str = "test", size: int = 10_000) -> dict[int, float]:
    """Example -> its score, all of a role, in batches of a size."""
    batches = make_batches(data, info.view, role, size, size)
    probability = evaluator.predict(evaluator.Forward(model, torch.device("cpu"), "fp32"), batches, data)
    return dict(zip(batches.examples.ids().tolist(), probability.tolist(), strict=True))


def scattered(info: ModelInfo, data: RankingData, **settings: Any) -> Ranker:
    """A model whose weights are drawn anew, so that none is at a start of zero, behind which nothing can be learned."""
    torch.manual_seed(0)
    model = info.build(info.config(**settings), data.spec)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def other_outcomes(data: RankingData, folder: Path, part: int) -> tuple[list[int], RankingData]:
    """One test example of each user, from the first (part 0) to the last (part 3), and a log that is another from their hi on:
    new labels and actions, and other items for all but the examples themselves."""
    test = data.split.examples("test")
    of_user = np.split(test, np.flatnonzero(np.diff(data.log.user_of(test))) + 1)
    chosen = np.array([events[part * (len(events) - 1) // 3] for events in of_user])
    label, action, item = (np.array(column) for column in (data.log.label, data.log.action, data.log.item))
    for event in chosen.tolist():
        end = int(data.log.user_offsets[data.log.user_of(np.array([event]))[0] + 1])
        hidden = np.arange(data.hi[event], end)
        label[hidden] ^= 1
        action[hidden] = (action[hidden] + 1) % (data.log.action.max() + 1)
        others = hidden[hidden != event]
        item[others] = (item[others] + 7) % data.log.meta.items
    return chosen.tolist(), changed(data, folder, label=label, action=action, item=item)
