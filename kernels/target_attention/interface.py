"""The operations, and their implementations in the order of preference."""

from __future__ import annotations

import torch
from torch import Tensor

from ..dispatch import Implementation, choose, register
from . import cpu, gpu, parts
from .events import Events, Layers


def activation_unit(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    """Weight of each past event, [T]: out . relu(hidden relu(event [vector; q * k] + start)).

    Args:
        query: [n, Q].
        offsets: int64 [n + 1]: example r has the events offsets[r]:offsets[r + 1].
        start: [n, H1], what the first layer adds for the query alone.

    Raises:
        IndexError: an id is not a row of its table.
    """
    # Under autocast the first term may be of a smaller dtype than the embeddings.
    return choose("activation_unit", events.key.device, start.dtype).run(query, events, offsets, start, layers)


def event_layer(query: Tensor, events: Events, offsets: Tensor, start: Tensor, event: Tensor) -> Tensor:
    """What the first layer makes of each event, before any activation, [T, H1]: event [vector; q * k] + start.

    Arguments and errors are those of `activation_unit`; event: [H1, K + Q], as in `Layers`.
    """
    return choose("event_layer", events.key.device, start.dtype).run(query, events, offsets, start, event)


def weighted_sum(weight: Tensor, events: Events, row: Tensor, rows: int) -> Tensor:
    """Sums of weight [T] times the events' vectors over the events of each row, [rows, K]; row int64 [T]."""
    return choose("weighted_sum", events.key.device, weight.dtype).run(weight, events, row, rows)


_CPU = {"device": "cpu", "dtypes": (torch.float32,), "probe": cpu.LIBRARY.why_unavailable}

_UNIT = (
    "DIN's attention, one example in the caches; each example's matrix E + P diag(q) is made once, so that q * k never is; "
    "outcome and gap of an event come as rows that the first layer has seen once a batch; ReLU alone"
)

register(
    "activation_unit",
    Implementation("cpu", cpu.unit, what=_UNIT, **_CPU),
    Implementation(
        "triton",
        gpu.unit,
        device="cuda",
        dtypes=(torch.float32, torch.bfloat16, torch.float16),
        probe=gpu.why_unavailable,
        what="the same for a GPU: one program in each direction, in which no layer of an event goes through memory on the way "
        "forward; taken only where a small case gives the numbers of `torch`",
    ),
    Implementation("torch", parts.unit, what="as the equations stand"),
    users="din, sim, sdim, mmoe, ple, star, pepnet",
)
register(
    "event_layer",
    Implementation("cpu", cpu.layer, what="the first layer of `activation_unit` alone, in the same way", **_CPU),
    Implementation("torch", parts.layer, what="as the equations stand"),
    users="din, sim and sdim with another activation than ReLU",
)
register(
    "weighted_sum",
    Implementation("cpu", cpu.pooled, what="sums outcomes and gaps of past events straight from their tables", **_CPU),
    Implementation("torch", parts.pooled, what="as the equations stand"),
    users="din, sim, sdim, mmoe, ple, star, pepnet",
)
