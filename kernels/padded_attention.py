"""Softmax attention of a few queries a row over rows of keys that are padded to one length: cross-attention of unified blocks.

`hstu_attention` has a query for every key; here an example has its own few queries, and its keys ask nothing.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from .dispatch import Implementation, choose, register


class PaddedInputs(NamedTuple):
    """What an implementation is given; see `padded_attention`."""

    q: Tensor
    k: Tensor
    v: Tensor
    visible: Tensor
    bias: Tensor | None


def padded_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v of each row and head; a query that sees no key gets zeros.

    Args:
        q: [n, N, H, d]. k: [n, L, H, d]. v: [n, L, H, dv].
        visible: bool [n, N or 1, L]: the keys that a query sees.
        bias: [n or 1, N or 1, L], the same for all heads.

    Returns:
        [n, N, H, dv]
    """
    return choose("padded_attention", q.device, q.dtype).run(PaddedInputs(q, k, v, visible, bias))


def _in_parts(inputs: PaddedInputs) -> Tensor:
    q, k, v, visible, bias = inputs
    logits = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) * q.shape[3] ** -0.5
    if bias is not None:
        logits = logits + bias.unsqueeze(1)
    seen = visible.unsqueeze(1)
    # The weights of a query that sees nothing are equal, not undefined, before they are set to zero.
    weights = logits.masked_fill(~seen, torch.finfo(logits.dtype).min).softmax(3) * seen
    return (weights.to(v.dtype) @ v.transpose(1, 2)).transpose(1, 2)


def _literal(inputs: PaddedInputs) -> Tensor:
    """Row by row, head by head, query by query, in float64."""
    q, k, v, visible, bias = (None if x is None else x.double() if x.is_floating_point() else x for x in inputs)
    assert q is not None and k is not None and v is not None and visible is not None
    n, queries, heads, size = q.shape
    visible = visible.expand(n, queries, -1)
    bias = None if bias is None else bias.expand(n, queries, -1)
    out = q.new_zeros(n, queries, heads, v.shape[3])
    for row, query, head in itertools.product(range(n), range(queries), range(heads)):
        seen = visible[row, query].nonzero().squeeze(1)
        if len(seen):
            logits = torch.stack([(q[row, query, head] * k[row, key, head]).sum() / math.sqrt(size) for key in seen.tolist()])
            power = torch.exp(logits if bias is None else logits + bias[row, query, seen])
            out[row, query, head] = (power.unsqueeze(1) * v[row, seen, head]).sum(0) / power.sum()
    return out.to(inputs.q.dtype)


register(
    "padded_attention",
    Implementation("torch", _in_parts, what="softmax attention of an example's own few queries over its padded past"),
    Implementation(
        "reference",
        _literal,
        automatic=False,
        what="the definition in loops and float64; tests compare with it, nothing chooses it",
    ),
    users="hyformer, interformer, longer, onetrans",
)
