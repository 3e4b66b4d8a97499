"""Attention over padded keys against its definition in loops, and what it does where nothing is seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rankbench.kernels.dispatch import find, forced
from rankbench.kernels.padded_attention import PaddedInputs, padded_attention


def problem(queries_see: int, bias: bool) -> PaddedInputs:
    """Rows of 0, 1 and all 5 keys; `queries_see` sets of visible keys a row, 1 for the same of all queries."""
    torch.manual_seed(0)
    options = {"dtype": torch.float64, "requires_grad": True}
    q, k, v = torch.randn(3, 2, 2, 4, **options), torch.randn(3, 5, 2, 4, **options), torch.randn(3, 5, 2, 3, **options)
    visible = torch.rand(3, queries_see, 5) < 0.6
    visible[0], visible[1] = False, torch.arange(5) == 3
    return PaddedInputs(q, k, v, visible, torch.randn(3, 1, 5, **options) if bias else None)


def found(inputs: PaddedInputs, implementation: str) -> list[Tensor]:
    """Output, then gradients of all inputs."""
    out = find("padded_attention", implementation).run(inputs)
    wanted = [x for x in inputs if x is not None and x.is_floating_point()]
    weight = torch.arange(out.numel(), dtype=out.dtype).view(out.shape)
    return [out, *torch.autograd.grad((out * weight).sum(), wanted)]


@pytest.mark.parametrize("queries_see", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_the_definition(queries_see: int, bias: bool) -> None:
    inputs = problem(queries_see, bias)
    for one, two in zip(found(inputs, "torch"), found(inputs, "reference"), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


def test_a_query_that_sees_nothing_gets_zeros_and_teaches_nothing() -> None:
    inputs = problem(1, bias=False)
    out, *gradients = found(inputs, "torch")
    assert not out[0].any() and out[1:].all()
    assert all(gradient.isfinite().all() and not gradient[0].any() for gradient in gradients)


def test_it_can_be_forced_by_name() -> None:
    inputs = problem(2, bias=True)
    with forced({"padded_attention": "reference"}):
        assert torch.equal(padded_attention(*inputs), find("padded_attention", "reference").run(inputs))
