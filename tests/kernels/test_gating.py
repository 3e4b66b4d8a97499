"""The element-wise parts of an HSTU layer against torch's parts in float64, of any width."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankbench.kernels import dispatch
from rankbench.kernels.gating import gated_norm, silu_split

UNAVAILABLE = dispatch.find("gated_norm", "cpu").refusal(torch.device("cpu"), torch.float32)
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled gating: {UNAVAILABLE}")


@given(rows=st.integers(0, 20), width=st.integers(1, 40), parts=st.integers(1, 4), seed=st.integers(0, 99))
def test_silu_split(rows: int, width: int, parts: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = (torch.randn(rows, parts * width, generator=generator) * 3).requires_grad_()
    exact = z.detach().double().requires_grad_()
    grads = [torch.randn(rows, width, generator=generator) for _ in range(parts)]
    own, wanted = silu_split(z, parts), silu_split(exact, parts)
    assert len(own) == parts and all(part.is_contiguous() for part in own)
    for one, two in zip(own, wanted, strict=True):
        assert torch.allclose(one.double(), two, atol=1e-5)
    (d_z,) = torch.autograd.grad(own, [z], grads)
    (d_exact,) = torch.autograd.grad(wanted, [exact], [grad.double() for grad in grads])
    assert torch.allclose(d_z.double(), d_exact, atol=1e-5)


def test_a_part_that_nobody_reads_has_no_gradient() -> None:
    z = torch.randn(5, 12, requires_grad=True)
    first, _, last = silu_split(z, 3)
    (d_z,) = torch.autograd.grad(first.sum() + last.sum(), [z])
    assert not d_z[:, 4:8].any() and d_z[:, :4].all() and d_z[:, 8:].all()


@pytest.mark.parametrize("threads", [1, 2])
@given(rows=st.integers(0, 20), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_gated_norm(threads: int, rows: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gate, x, grad = (torch.randn(rows, width, generator=generator) for _ in range(3))
    x = x * 0.1 + 3  # the mean is large beside the deviation
    leaves = [one.requires_grad_() for one in (gate, x)]
    exact = [one.detach().double().requires_grad_() for one in leaves]
    torch.set_num_threads(threads)
    try:
        y, wanted = gated_norm(*leaves, 1e-6), gated_norm(*exact, 1e-6)
        found = torch.autograd.grad(y, leaves, grad)
    finally:
        torch.set_num_threads(1)
    assert torch.allclose(y.double(), wanted, rtol=1e-4, atol=1e-4)
    if width > 2:  # of one or two numbers the norm hardly depends on them
        for one, two in zip(found, torch.autograd.grad(wanted, exact, grad.double()), strict=True):
            assert torch.allclose(one.double(), two, rtol=1e-3, atol=2e-3)
