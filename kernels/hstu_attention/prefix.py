"""Keys and values of tokens that were computed before: many candidates after one past cost one pass over the past.

A pass over the past records what each operation used as keys and values. A later pass computes new tokens alone, which see
recorded ones and themselves: in every operation the recorded rows stand before the new ones again, as keys that ask nothing,
so that any implementation gives the same numbers as one pass over everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .plan import After, AttentionPlan, plan_attention


@dataclass(frozen=True)
class Prefix:
    """One segment of P tokens, and for each operation over them, in order, its keys and values [P, H, D]."""

    plan: AttentionPlan
    entries: list[tuple[Tensor, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.plan.lo)


def recording(plan: AttentionPlan) -> tuple[AttentionPlan, Prefix]:
    """The same plan, whose operations leave their keys and values in the prefix."""
    prefix = Prefix(plan)
    return replace(plan, record=prefix.entries), prefix


def continued(
    prefix: Prefix,
    lo: Tensor,
    position: Tensor,
    query_time: Tensor | None = None,
    key_time: Tensor | None = None,
    own_time: Tensor | None = None,
) -> AttentionPlan:
    """The plan of C new tokens, each of which sees the prefix from lo [C] to its end, and itself.

    Args:
        position: int64 [C], not below any of the prefix.
        query_time, key_time, own_time: int64 [C], milliseconds, or None as in the prefix.
    """
    past, new = prefix.plan, len(lo)
    nothing, ends = torch.zeros_like(past.lo), torch.full_like(lo, len(prefix))

    def joined(old: Tensor | None, new: Tensor | None) -> Tensor | None:
        return None if old is None or new is None else torch.cat([old, new])

    offsets = torch.tensor([0, len(prefix) + new], device=lo.device)
    whole = plan_attention(
        offsets,
        torch.cat([nothing, lo]),
        torch.cat([nothing, ends]),
        torch.cat([past.position, position]),
        joined(past.query_time, query_time),
        joined(past.key_time, key_time),
        joined(past.own_time, own_time),
    )
    return replace(whole, after=After(len(prefix), iter(prefix.entries)))
