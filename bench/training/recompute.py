"""Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): a layer keeps its input, and runs again in the backward pass."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..contract import Ranker
from ..errors import UserError


def recomputed(model: Ranker) -> None:
    """From now on, the layers of `model` are run again in backward passes; masks of dropout are drawn as they were.

    Parameters keep their names: it is the layers' `forward` that is replaced, in this object alone.

    Raises:
        UserError: the model has no layers.
    """
    layers = model.stack()
    if not layers:
        raise UserError(f"train.recompute does not work: {type(model).__name__} names no layers")
    for layer in layers:
        if not isinstance(layer.forward, functools.partial):  # a run that goes on has it already
            layer.forward = functools.partial(_again, layer, layer.forward)  # type: ignore[method-assign]


def _again(layer: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not (layer.training and torch.is_grad_enabled()):
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False)
