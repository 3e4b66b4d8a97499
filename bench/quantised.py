"""A model with its linear maps in int8: torch's dynamic quantisation, on the CPU.

Weights are int8 with one scale for a matrix; the inputs of a product are rounded to 8 bits by their range in the batch at hand.
Embeddings, attention and norms stay as they are, and so do linear maps whose weights a compiled operation reads itself, such as
those within HSTU's layers and DIN's attention: there is no product of torch's that could be another one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .contract import Ranker
from .errors import UserError


@dataclass(frozen=True)
class Quantised:
    """A copy of a model."""

    model: Ranker
    share: float
    """Of the weights of linear maps, how many are int8."""


def quantised(model: Ranker, request: Callable[[], object]) -> Quantised:
    """A copy in int8 as far as that goes.

    Args:
        request: lets the model compute what it will be asked for, so that it shows which maps are called.

    Raises:
        UserError: this version of torch has no dynamic quantisation any more, or no linear map is called.
    """
    try:
        from torch.ao.quantization import quantize_dynamic
        from torch.ao.quantization.qconfig import default_dynamic_qconfig
    except ImportError:
        raise UserError("this version of torch has no dynamic quantisation; measure fp32 and bf16") from None
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    names = _called(linear, request)
    if not names:
        raise UserError("none of its linear maps is called: compiled operations read their weights")
    plain = copy.deepcopy(model)
    for name in names:
        _make_plain(plain, name)
    with warnings.catch_warnings():  # that it goes one day: the error above says so then
        warnings.simplefilter("ignore")
        found = quantize_dynamic(plain, dict.fromkeys(names, default_dynamic_qconfig), torch.qint8, inplace=True)
    weights = {name: module.weight.numel() for name, module in linear.items()}
    return Quantised(found, sum(weights[name] for name in names) / sum(weights.values()))


def _called(linear: dict[str, nn.Linear], request: Callable[[], object]) -> list[str]:
    """Names of the maps that are called as modules."""
    seen: set[str] = set()

    def noting(name: str) -> Callable[..., None]:
        return lambda *_: seen.add(name)

    handles = [module.register_forward_hook(noting(name)) for name, module in linear.items()]
    try:
        request()
    finally:
        for handle in handles:
            handle.remove()
    return [name for name in linear if name in seen]


def _make_plain(model: nn.Module, name: str) -> None:
    """One of our linear maps as torch's own: what is quantised is chosen by its exact type."""
    parent, _, own = name.rpartition(".")
    ours = model.get_submodule(name)
    assert isinstance(ours, nn.Linear)
    plain = nn.Linear(ours.in_features, ours.out_features, ours.bias is not None)
    plain.load_state_dict(ours.state_dict())
    setattr(model.get_submodule(parent), own, plain.eval())
