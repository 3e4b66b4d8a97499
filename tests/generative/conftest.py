"""A small spec and a small packed batch for tests of single parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rankbench.bench.contract import DataSpec, Field
from rankbench.generative.attention import Geometry
from rankbench.generative.config import SequenceConfig
from rankbench.kernels.hstu_attention import plan_attention
from rankbench.kernels.time_buckets import GAP_BUCKETS

HISTORY = 5


@pytest.fixture
def spec() -> DataSpec:
    return DataSpec(
        user=(Field("user", 9),),
        item=(Field("item", 12), Field("genre", 5)),
        context=(Field("hour", 26),),
        action=Field("action", 7),
        history_length=HISTORY,
        longest_segment=5 * HISTORY,
        time="request",
        gap_buckets=GAP_BUCKETS,
        positive_rate=0.4,
    )


def geometry(config: SequenceConfig, spec: DataSpec, lengths: tuple[int, ...] = (7, 1, 4), seed: int = 0) -> Geometry:
    """Segments of odd lengths with ties (tokens that do not see each other) and a window; float64 divisor and rotation."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths])
    lo, hi, position, time = [], [], [], []
    for begin, n in zip(offsets[:-1], lengths, strict=True):
        now, edge = 10**12, 0
        for i in range(n):
            if i == 0 or rng.random() > 0.3:
                edge, now = i, now + int(10 ** rng.uniform(2, 9))
            lo.append(begin + max(0, edge - config.tokens_per_event * spec.history_length))
            hi.append(begin + edge)
            position.append(edge)
            time.append(now)
    to = lambda values: torch.tensor(np.asarray(values), dtype=torch.int64)  # noqa: E731
    asked = to(time) + 7_000
    own_time = to([time[end - 1] if end > begin else int(asked[i]) for i, (begin, end) in enumerate(zip(lo, hi, strict=True))])
    plan = plan_attention(
        to(offsets), to(lo), to(hi), to(position), asked, to(time), own_time if config.own_time == "recency" else None
    )
    divisor = (
        (plan.hi - plan.lo + 1).double() if config.divisor == "own" else float(config.tokens_per_event * spec.history_length + 1)
    )
    turn = None
    if config.rope:
        half = config.width // config.heads // 2
        angle = plan.position.double().unsqueeze(1) * 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        turn = torch.stack([angle.cos(), angle.sin()]).unsqueeze(2)
    return Geometry(plan, turn, divisor, to(rng.integers(0, 2, len(lo))))
