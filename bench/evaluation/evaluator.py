"""Scores of a trained model as a table of predictions, and what scoring costs."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from scipy import special
from torch import Tensor

from .. import device as devices
from ..config import TrainConfig
from ..contract import ModelInfo, Ranker, to_device
from ..data.ahead import AHEAD, ahead
from ..data.batches import Batches
from ..data.dataset import RankingData
from ..data.requests import request_batch, request_of
from ..data.resident import batches_at, filled_up
from ..recorded import Batch, Graphs, Recordings
from . import metrics, scores
from .influence import rows as rows_of

_DAY_MS = 86_400_000

ROWS = 4096
"""Of a batch that is scored; events of sequences are twice as many."""


@dataclass(frozen=True)
class Forward:
    """How the logits of a model are computed."""

    model: Ranker
    device: torch.device
    precision: str
    recorded: Recordings | None = None
    """Of batches that are filled up to a few shapes; None: the model computes them, of batches as they are."""
    place: torch.device | None = None
    """Where batches are put together; None: on the host."""

    @staticmethod
    def of(model: Ranker, config: TrainConfig, device: torch.device) -> Forward:
        """As the model is trained: recorded where `train.whole_step=graph`, batches from where `train.assembly` says."""
        plain = Forward(model, device, config.precision, place=device if config.assembly == "device" else None)
        if config.whole_step != "graph":
            return plain
        return dataclasses.replace(plain, recorded=Recordings(plain.logits, Graphs(device), device))

    def logits(self, batch: Batch) -> Tensor:
        """float32, of a batch on the device as it is."""
        with devices.autocast(self.device, self.precision):
            return self.model(batch).float()

    def release(self) -> None:
        """After the last batch."""
        if self.recorded is not None:
            self.recorded.forget()


def predict(forward: Forward, batches: Batches, data: RankingData) -> np.ndarray:
    """Probabilities of the main label, float64 [n]; see predict_labels."""
    return predict_labels(forward, batches, data)[:, 0]


def predict_labels(forward: Forward, batches: Batches, data: RankingData) -> np.ndarray:
    """Score every example once, without gradients and without touching the training state.

    Returns:
        Probabilities, float64 [n, 1] or, of a model that predicts the K further labels as well, [n, 1 + K], in the order of
        `batches.examples`: sigmoid of the logit, corrected for the sampling of negatives, taken in float64 on the CPU.
    """
    plans = batches.plans(None)
    examples, recorded, device = batches.examples, forward.recorded, forward.device
    logits: list[Tensor] = []
    scored: list[Tensor] = []

    def assemble(plan: np.ndarray) -> Batch:
        batch = batches.assemble(plan, None)
        scored.append(batch.example.clone())  # alone: it may be a part of what was sent
        return to_device(batch if recorded is None else filled_up(batches, plan, batch), device)

    forward.model.eval()
    count = 0 if device.type == "cpu" else AHEAD
    # Before torch 2.11 what is first recorded in inference mode cannot be recorded outside of it later (pytorch issue 166792).
    without_gradients = torch.inference_mode() if recorded is None else torch.no_grad()
    # Whoever reads a score waits for the device: none is read before all are asked for.
    with without_gradients, contextlib.closing(ahead(assemble, plans, count)) as source:
        for batch in source:
            # What is recorded is overwritten by the next batch.
            found = forward.logits(batch) if recorded is None else recorded(batch)[: len(batch)].clone()
            logits.append(found)
    probability, times = np.empty(0), np.zeros(len(examples), dtype=np.uint8)
    for plan, logit, example in zip(plans, logits, scored, strict=True):
        rows = batches.rows(plan)
        if not np.array_equal(example.cpu().numpy(), examples.take(rows).ids()):
            raise RuntimeError("a batch has other examples than its plan says")
        found = logit.cpu().numpy().astype(np.float64).reshape(len(rows), -1)
        if not np.isfinite(found).all():
            raise FloatingPointError("scores that are not finite; lower train.lr")
        if not len(probability):
            probability = np.empty((len(examples), found.shape[1]))
        probability[rows] = special.expit(found + data.logit_correction)
        times[rows] += 1
    if not (times == 1).all():
        raise RuntimeError("not every example was scored exactly once")
    return probability


def monitor(config: TrainConfig, data: RankingData) -> Literal["request_gauc", "auc", "logloss"]:
    """The metric of validation that `train.monitor` means for these data."""
    if config.monitor != "default":
        return config.monitor
    valid = data.examples("valid")
    return rows_of(valid.label, data.log.user_of(valid.event), data.request[valid.event]).headline


def quality(forward: Forward, batches: Batches, data: RankingData) -> dict[str, float]:
    """auc, request_gauc and logloss of the main label over all examples of `batches`: what training and tuning watch."""
    probability = predict(forward, batches, data)
    label, request = batches.examples.label, data.request[batches.examples.event]
    return {
        "auc": metrics.auc(label, probability),
        "request_gauc": metrics.grouped_auc(label, probability, request).value,
        "logloss": metrics.logloss(label, probability),
    }


def predictions(forward: Forward, info: ModelInfo, data: RankingData, role: str) -> pd.DataFrame:
    """`rows` with scores, rounded as they are kept; of each further label that the model predicts also `score.<name>`."""
    batches = batches_at(forward.place, data, info.view, role, ROWS, ROWS * 2)
    probability = scores.rounded(predict_labels(forward, batches, data))
    names = ["score", *(f"score.{name}" for name in data.config.labels)]
    return rows(data, role).assign(**dict(zip(names, probability.T, strict=False)))


def rows(data: RankingData, role: str) -> pd.DataFrame:
    """One row per example of `role`: example, user, request, item (codes of the log), time (ms), label, the training events of
    its user and item, and the days since the user's last one (-1: there is none).

    Of each further label also `label.<name>`.
    """
    examples = data.examples(role)
    user, split = data.log.user_of(examples.event), data.split
    known = split.user_events[user] > 0
    gap = (data.request_start[examples.event] - np.where(known, split.user_last[user], 0)) // _DAY_MS
    table = pd.DataFrame(
        {
            "example": examples.ids(),
            "user": user,
            "request": data.request[examples.event],
            "item": examples.item.astype(np.asarray(data.log.item).dtype),
            "time": data.log.time[examples.event],
            "label": examples.label,
            "user_events": split.user_events[user],
            "item_events": split.item_events[examples.item],
            "user_gap_days": np.where(known, np.maximum(gap, 0), -1),
        }
    )
    return table.assign(**{f"label.{name}": data.log.further_label(name)[examples.event] for name in data.config.labels})


def candidate_latency_ms(
    model: Ranker, info: ModelInfo, data: RankingData, device: torch.device, precision: str, candidates: int = 100
) -> tuple[float, float]:
    """Median milliseconds to score `candidates` random items for one user, of wall time and of CPU time of all threads: batch
    assembly, transfer and forward.

    The users are those of ten test examples spread over the history lengths; a first, unmeasured request warms up.
    """
    events = data.split.examples("test")
    by_history = events[np.argsort(data.hi[events] - data.lo[events], kind="stable")]
    chosen = by_history[np.linspace(0, len(by_history) - 1, 10).astype(int)]
    rng = np.random.default_rng(0)
    model.eval()
    times = []
    with torch.inference_mode():
        for event in [chosen[-1], *chosen]:
            items = rng.integers(0, data.log.meta.items, candidates)
            devices.synchronize(device)
            begin, begin_cpu = time.perf_counter(), time.process_time()
            batch = to_device(request_batch(data, info.view, request_of(data, int(event)), items), device)
            with devices.autocast(device, precision):
                model(batch).float().cpu()
            times.append((time.perf_counter() - begin, time.process_time() - begin_cpu))
    wall, cpu = (statistics.median(of) * 1000 for of in zip(*times[1:], strict=True))
    return wall, cpu


def parameter_counts(model: torch.nn.Module) -> tuple[int, int]:
    """Parameters in embedding tables, and all others."""
    tables = sum(module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Embedding))
    return tables, sum(parameter.numel() for parameter in model.parameters()) - tables
