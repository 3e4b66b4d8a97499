"""Whether a package scores as its model does: asked before it is written, and by tests of every model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from ..contract import ModelInfo, Ranker
from ..data.dataset import RankingData
from ..data.requests import Request, candidate_batch, past_batch, request_batch, request_of
from .package import PackagedRanker
from .programs import FEWEST

TOLERANCE = 1e-4
"""Of a logit: probabilities then differ by a fourth of it at most. Both compute in float32, and add in another order."""


def largest_difference(
    model: Ranker,
    packaged: PackagedRanker,
    info: ModelInfo,
    data: RankingData,
    spread: int = 6,
    candidates: Sequence[int] = (FEWEST, 3, 17),
) -> float:
    """Between logits of the two, over test requests of all lengths of the past, none included, and some numbers of candidates; of
    a package that remembers also after a kept past. NaN if a package gives no number.

    Args:
        spread: how many requests, over the lengths of the past; the longest is among them.
    """
    events = data.split.examples("test")
    events = events[np.argsort(data.hi[events] - data.lo[events], kind="stable")]
    requests = [request_of(data, int(event)) for event in events[np.linspace(len(events) - 1, 0, spread).astype(int)]]
    requests += [_with_past(requests[0], seen) for seen in (0, 1)]
    found = [_apart(model, packaged, info, data, request, count) for request in requests for count in candidates]
    return float(np.max(np.concatenate(found)))


def _with_past(request: Request, seen: int) -> Request:
    """The same request by somebody who did that many things."""
    return dataclasses.replace(request, lo=request.start, hi=request.start + seen)


def _apart(
    model: Ranker, packaged: PackagedRanker, info: ModelInfo, data: RankingData, request: Request, count: int
) -> list[float]:
    codes = np.arange(count) % (data.log.meta.items + 1) - 1  # the first that the log does not know
    with torch.inference_mode():
        batch = request_batch(data, info.view, request, codes)
        exact = model(batch)
        scores = [packaged(batch)]
        if packaged.remembers and request.hi > request.start:
            memory = packaged.remember(past_batch(data, request))
            scores.append(packaged.forward_after(memory, request.lo - request.start, candidate_batch(data, request, codes)))
        return [float((one - exact).abs().max()) for one in scores]
