"""Scores of a trained model as a table of predictions, and what scoring costs."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pandas as pd
import torch

from .. import device as devices
from ..contract import ModelInfo, Ranker, to_device
from ..data.batches import Batches, make_batches, request_batch
from ..data.dataset import RankingData


def predict(model: Ranker, batches: Batches, device: torch.device, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Score every example once, without gradients and without touching the training state.

    Returns:
        example: int64 [n], ascending positions in the event log.
        probability: float64 [n], sigmoid of the logit taken in float64 on the CPU.
    """
    examples, logits = [], []
    model.eval()
    with torch.inference_mode():
        for plan in batches.plans(None):
            batch = to_device(batches.assemble(plan, None), device)
            with devices.autocast(device, precision):
                logit = model(batch)
            examples.append(batch.example.cpu().numpy())
            logits.append(logit.float().cpu().numpy().astype(np.float64))
    example, logit = np.concatenate(examples), np.concatenate(logits)
    if not np.isfinite(logit).all():
        raise FloatingPointError("scores that are not finite; lower train.lr")
    order = np.argsort(example)
    return example[order], 1 / (1 + np.exp(-logit[order]))


def predictions(
    model: Ranker, info: ModelInfo, data: RankingData, role: str, device: torch.device, precision: str, batch_size: int = 4096
) -> pd.DataFrame:
    """One row per example of `role`: example, user, item (codes of the log), time (ms), label, score, warm_user, warm_item."""
    batches = make_batches(data, info.view, role, batch_size, batch_size * 2)
    example, probability = predict(model, batches, device, precision)
    if not np.array_equal(example, data.split.examples(role)):
        raise RuntimeError(f"{info.name} did not score each {role} example exactly once")
    user, item = data.log.user_of(example), np.asarray(data.log.item[example])
    return pd.DataFrame(
        {
            "example": example,
            "user": user,
            "item": item,
            "time": data.log.time[example],
            "label": data.log.label[example],
            "score": probability,
            "warm_user": data.split.warm_user[user],
            "warm_item": data.split.warm_item[item],
        }
    )


def candidate_latency_ms(
    model: Ranker, info: ModelInfo, data: RankingData, device: torch.device, precision: str, candidates: int = 100
) -> float:
    """Median milliseconds to score `candidates` random items for one user: batch assembly, transfer and forward.

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
            begin = time.perf_counter()
            batch = to_device(request_batch(data, info.view, int(event), items), device)
            with devices.autocast(device, precision):
                model(batch).float().cpu()
            times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times[1:])


def parameter_counts(model: torch.nn.Module) -> tuple[int, int]:
    """Parameters in embedding tables, and all others."""
    tables = sum(module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Embedding))
    return tables, sum(parameter.numel() for parameter in model.parameters()) - tables
