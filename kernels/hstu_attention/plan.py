"""The geometry of a batch of packed tokens, shared by layers and implementations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ..time_buckets import time_buckets

Activation = Literal["silu", "softmax"]


@dataclass(frozen=True)
class After:
    """What a pass over new tokens takes from tokens that were computed before, operation by operation; see prefix.py."""

    length: int
    """P"""
    entries: Iterator[tuple[Tensor, ...]]

    def take(self, *new: Tensor) -> tuple[Tensor, ...]:
        """The next operation's recorded rows with the `new` ones [C, H, D] behind them."""
        return tuple(torch.cat([old, rows]) for old, rows in zip(next(self.entries), new, strict=True))


@dataclass(frozen=True)
class AttentionPlan:
    """What each of T packed tokens sees, and where it stands. Made once a batch, shared by all layers."""

    offsets: Tensor
    """int64 [S + 1]: segments."""
    lo: Tensor
    """int64 [T]: token i sees itself and the keys lo[i]:hi[i], positions in the packed array within its own segment."""
    hi: Tensor
    """int64 [T]"""
    position: Tensor
    """int64 [T]; if there is a bias over positions, position[i] >= position[j] for every key j that i sees."""
    query_time: Tensor | None
    """int64 [T], milliseconds; None if there is no time information."""
    key_time: Tensor | None
    """int64 [T], milliseconds."""
    own_time: Tensor | None = None
    """int64 [T], milliseconds: from when a token's own key is taken to be, by its own query. None: bucket 0, whatever the query's
    time. HSTU's released code has key_time here, and in query_time the time of the next event."""
    cache: dict[Any, Any] = field(default_factory=dict)
    """What an implementation computed for this geometry."""
    record: list[tuple[Tensor, ...]] | None = None
    """Where operations leave their keys and values, see prefix.py."""
    after: After | None = None
    """If set, operations get the rows of the last tokens alone; those of the tokens before were recorded."""

    def own_buckets(self) -> Tensor | None:
        """int64 [T]: time bucket of each token's own key; None if all are 0. Found once."""
        if self.own_time is None or self.query_time is None:
            return None
        if "own buckets" not in self.cache:
            self.cache["own buckets"] = time_buckets(self.query_time - self.own_time)
        return self.cache["own buckets"]  # type: ignore[no-any-return]


class Inputs(NamedTuple):
    """What an implementation of `hstu_attention` is given; see there."""

    q: Tensor
    k: Tensor
    v: Tensor
    plan: AttentionPlan
    alpha: float
    position_bias: Tensor | None
    time_bias: Tensor | None
    activation: Activation
    divisor: Tensor | float

    def inverse_divisor(self) -> Tensor | None:
        """float32 [T] of SiLU weights; None for a softmax, which has a normaliser of its own."""
        if self.activation != "silu":
            return None
        if isinstance(self.divisor, Tensor):
            return self.divisor.detach().float().reciprocal().contiguous()
        return torch.full((len(self.q),), 1 / self.divisor, device=self.q.device)


def plan_attention(
    offsets: Tensor,
    lo: Tensor,
    hi: Tensor,
    position: Tensor,
    query_time: Tensor | None = None,
    key_time: Tensor | None = None,
    own_time: Tensor | None = None,
) -> AttentionPlan:
    """The plan of a batch; see AttentionPlan for the arguments."""
    if (query_time is None) != (key_time is None):
        raise ValueError("query_time and key_time come together")
    if own_time is not None and query_time is None:
        raise ValueError("own_time needs query_time")
    return AttentionPlan(offsets, lo, hi, position, query_time, key_time, own_time)
