"""The operations as their equations stand, in torch's parts, on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .events import Events, Layers


def unit(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    x = F.relu(layer(query, events, offsets, start, layers.event))
    if layers.hidden is not None:
        x = F.relu(F.linear(x, layers.hidden, layers.hidden_bias))
    return F.linear(x, layers.out, layers.out_bias).squeeze(1)


def layer(query: Tensor, events: Events, offsets: Tensor, start: Tensor, event: Tensor) -> Tensor:
    row = rows_of(offsets, len(events.key))
    product = query.index_select(0, row) * events.key
    return F.linear(torch.cat([events.whole(), product], dim=1), event) + start.index_select(0, row)


def pooled(weight: Tensor, events: Events, row: Tensor, rows: int) -> Tensor:
    value = events.whole() * weight.unsqueeze(1)
    return value.new_zeros(rows, value.shape[1]).index_add_(0, row, value)


def rows_of(offsets: Tensor, tokens: int) -> Tensor:
    """int64 [T]: the example of each past event."""
    examples = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(examples, offsets.diff(), output_size=tokens)
