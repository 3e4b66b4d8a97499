"""The arithmetic of a step of a large model, without computing it: counted from shapes, attention from the pairs that are seen.

The convention is that of flops.py: two operations a multiply-add, products of matrices alone, of attention q . k and A v of each
pair of a token and one that it sees, itself included. So the half of a causal square that nobody sees is not counted, nor what a
kernel pads. A step is three forward passes: the backward pass has two products for each of the forward pass. What is computed
again, logits within attention or whole layers (`train.recompute`), is not counted, so that a share of the device's speed says how
fast the model is trained and not how busy the device is (PaLM's model FLOPs utilisation, arXiv:2204.02311, appendix B).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ...kernels import dispatch
from ...kernels.hstu_attention.plan import AttentionPlan, Inputs
from ..contract import DataSpec, ModelInfo, SequenceBatch, to_device
from ..errors import UserError, in_one_line
from .flops import pairs_of

BACKWARD = 2.0
"""Of the forward pass."""


class _Counted:
    """In place of attention: gives what has its shape."""

    def __init__(self, pairs: int | None = None) -> None:
        self.pairs, self.flops = pairs, 0

    def attention(self, inputs: Inputs) -> Tensor:
        self._count(inputs.plan, inputs.q.shape[1] * inputs.q.shape[2] + inputs.v.shape[1] * inputs.v.shape[2])
        return inputs.v

    def mixing(self, v: Tensor, plan: AttentionPlan, *_: Tensor | None) -> Tensor:
        self._count(plan, v.shape[1] * v.shape[2])
        return v

    def _count(self, plan: AttentionPlan, size: int) -> None:
        if self.pairs is None:
            self.pairs = pairs_of(plan)
        self.flops += 2 * self.pairs * size


def step_flops(info: ModelInfo, params: Any, spec: DataSpec, batch: SequenceBatch) -> float:
    """Of forward and backward pass over a batch.

    Args:
        batch: on the CPU, with `seen_at`: shapes on a device without numbers must not depend on numbers.

    Raises:
        UserError: the shapes of this model depend on more than those of the batch.
    """
    # Whatever its width, a model of the same tokens has the same pairs; those of a narrow one are counted with real numbers.
    narrow = dataclasses.replace(params, width=4 * params.heads, layers=1)
    try:
        real = _Counted()
        _forward(info, narrow, spec, batch, real, torch.device("cpu"))
        if real.pairs is None:
            raise ValueError("it has no attention whose pairs could be counted")
        counted = _Counted(real.pairs)
        products = _forward(info, params, spec, to_device(batch, torch.device("meta")), counted, torch.device("meta"))
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the arithmetic of {info.name} cannot be counted from shapes alone ({in_one_line(error)})") from error
    return (1 + BACKWARD) * (products + counted.flops)


def _forward(info: ModelInfo, params: Any, spec: DataSpec, batch: SequenceBatch, counted: _Counted, device: torch.device) -> int:
    """Operations in products of matrices, attention aside."""
    torch_alone = {name: "torch" for name in dispatch.OPERATIONS if "torch" in dispatch.names(name)}
    counter = FlopCounterMode(display=False)
    with (
        torch.random.fork_rng([]),
        torch.no_grad(),
        dispatch.unwatched(),
        dispatch.forced(torch_alone),
        dispatch.replaced("hstu_attention", counted.attention),
        dispatch.replaced("bias_mixing", counted.mixing),
    ):
        with device:
            model = info.build(params, spec).eval()
        with counter:
            model(batch)
    return counter.get_total_flops()
