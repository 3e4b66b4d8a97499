"""The geometry of a batch of packed tokens, shared by layers and implementations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar, TypeVarTuple

import torch
from torch import Tensor

from ..time_buckets import time_buckets

Activation = Literal["silu", "softmax"]

Prepared = TypeVar("Prepared")
Arguments = TypeVarTuple("Arguments")


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
    """int64 [T], milliseconds. Keys that a query sees stand in the order of their times, and none is later than its query:
    the keys of one time bucket are an interval, as `triton` takes for granted."""
    own_time: Tensor | None = None
    """int64 [T], milliseconds: from when a token's own key is taken to be, by its own query. None: bucket 0, whatever the query's
    time. HSTU's released code has key_time here, and in query_time the time of the next event."""
    past: int = 0
    """The first tokens ask nothing: operations get keys and values of all T, and queries of the T - past others."""
    _prepared: dict[tuple[object, ...], object] = field(default_factory=dict, init=False, repr=False, compare=False)
    """See `once_a_plan`, which alone reads and writes it."""


def once_a_plan(
    prepare: Callable[[AttentionPlan, *Arguments], Prepared],
) -> Callable[[AttentionPlan, *Arguments], Prepared]:
    """`prepare(plan, ...)` computed once for a plan and the other arguments, and kept as long as the plan.

    An implementation makes of a plan what it reads instead, in a type of its own; all layers of a pass then share it.
    """

    @functools.wraps(prepare)
    def kept(plan: AttentionPlan, *arguments: *Arguments) -> Prepared:
        slot = (prepare, *arguments)
        if slot not in plan._prepared:
            plan._prepared[slot] = prepare(plan, *arguments)
        return plan._prepared[slot]  # type: ignore[return-value]

    return kept


@once_a_plan
def own_buckets(plan: AttentionPlan) -> Tensor | None:
    """int64 [T]: time bucket of each token's own key; None if all are 0."""
    if plan.own_time is None or plan.query_time is None:
        return None
    return time_buckets(plan.query_time - plan.own_time)


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
