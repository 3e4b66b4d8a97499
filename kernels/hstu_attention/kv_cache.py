"""Keys and values of tokens that were computed before: many candidates after one past cost one pass over the past.

A pass over the past leaves what each layer used as keys and values. A later pass computes new tokens alone, which see these and
themselves: in every layer they stand before the new ones again, as tokens that ask nothing, so that any implementation gives
the same numbers as one pass over everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .plan import AttentionPlan, plan_attention


class LayerCache:
    """Keys [P, H, D] and values [P, H, Dv] of one layer; empty until a pass over the P tokens has gone through it."""

    __slots__ = ("_key", "_value")

    def __init__(self) -> None:
        self._key: Tensor | None = None
        self._value: Tensor | None = None

    def with_past(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """What the operations of a layer read, asked for once a pass: the keys and values of the pass itself.

        The first pass leaves a copy of them, so that what is kept is no view of a larger projection. Later passes get
        [P + C, H, ...], with the rows that are kept before their own C, and leave nothing.
        """
        if self._key is None or self._value is None:
            self._key, self._value = key.detach().clone(), value.detach().clone()
            return key, value
        return torch.cat([self._key, key]), torch.cat([self._value, value])


@dataclass(frozen=True)
class KVCache:
    """One segment of P tokens, and what each layer keeps of it, by the index of the layer."""

    plan: AttentionPlan
    layers: tuple[LayerCache, ...]

    @classmethod
    def empty(cls, plan: AttentionPlan, layers: int) -> KVCache:
        """To be filled by a pass over the tokens of the plan."""
        return cls(plan, tuple(LayerCache() for _ in range(layers)))

    def __len__(self) -> int:
        return len(self.plan.lo)


def continued(
    past: AttentionPlan,
    lo: Tensor,
    position: Tensor,
    query_time: Tensor | None = None,
    key_time: Tensor | None = None,
    own_time: Tensor | None = None,
) -> AttentionPlan:
    """The plan of C new tokens, each of which sees the one segment of the past from lo [C] to its end, and itself.

    Args:
        position: int64 [C], not below any of the past.
        query_time, key_time, own_time: int64 [C], milliseconds, or None as in the past.
    """
    length = len(past.lo)
    nothing, ends = torch.zeros_like(past.lo), torch.full_like(lo, length)

    def joined(old: Tensor | None, new: Tensor | None) -> Tensor | None:
        return None if old is None or new is None else torch.cat([old, new])

    whole = plan_attention(
        torch.tensor([0, length + len(lo)], device=lo.device),
        torch.cat([nothing, lo]),
        torch.cat([nothing, ends]),
        torch.cat([past.position, position]),
        joined(past.query_time, query_time),
        joined(past.key_time, key_time),
        joined(past.own_time, own_time),
    )
    return replace(whole, past=length)
