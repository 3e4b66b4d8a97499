"""The path to Huawei's operator, with a stand-in that computes what its documentation says: padding, masks, biases, check."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankbench.kernels import dispatch
from rankbench.kernels.hstu_attention import npu, torch_blocks
from rankbench.kernels.hstu_attention.plan import Inputs
from rankbench.kernels.time_buckets import GAP_BUCKETS
from support import fake_mxrec

from .test_hstu_attention import geometry
from .test_own_time import with_own_time

CPU = torch.device("cpu")


@pytest.fixture
def operator() -> Iterator[None]:
    fake_mxrec.install()
    yield
    fake_mxrec.remove()


@pytest.mark.usefixtures("operator")
@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    window=st.sampled_from([0, 3, 50]),
    tie=st.sampled_from([0.0, 0.4]),
    biases=st.sampled_from([(True, True), (True, False), (False, True), (False, False)]),
    heads=st.sampled_from([1, 2]),
    size=st.sampled_from([5, 16]),
    per_head=st.booleans(),
    own_time=st.booleans(),
    seed=st.integers(0, 99),
)
def test_against_torchs_path(
    lengths: list[int], window: int, tie: float, biases: tuple[bool, bool], heads: int, size: int, per_head: bool,
    own_time: bool, seed: int
) -> None:  # fmt: skip
    plan = geometry(lengths, window, tie, seed)
    if own_time:
        plan = with_own_time(plan, seed)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    tokens = len(plan.lo)
    q, k, v = (draw(tokens, heads, size) for _ in range(3))
    shape = (heads,) if per_head else ()
    tables = [draw(rows, *shape) if wanted else None for rows, wanted in zip((12, GAP_BUCKETS), biases, strict=True)]
    divisor = torch.rand(tokens, generator=generator, dtype=torch.float64) + 1
    leaves = [one for one in (q, k, v, *tables) if one is not None]
    grad = torch.randn(tokens, heads, size, generator=generator, dtype=torch.float64)
    results = []
    for run in (npu.attention, torch_blocks.attention):
        out = run(Inputs(q, k, v, plan, 0.3, *tables, "silu", divisor))
        results.append([out, *torch.autograd.grad(out, leaves, grad)])
    for own, wanted in zip(*results, strict=True):
        assert torch.allclose(own, wanted, atol=1e-9)


@pytest.mark.usefixtures("operator")
def test_lengths_are_padded_to_few() -> None:
    assert {npu.prepare(geometry([n], 9, 0.0, 0), 0, 0).length for n in range(1, 65)} == {16, 32, 64}


@pytest.mark.usefixtures("operator")
def test_an_operator_that_does_what_it_should_passes_the_check() -> None:
    with torch.inference_mode():  # as who scores asks first
        assert npu._differs(CPU) is None


def test_an_operator_that_computes_something_else_is_refused() -> None:
    fake_mxrec.install(wrong=True)
    try:
        reason = npu._differs(CPU)
    finally:
        fake_mxrec.remove()
    assert reason is not None and "computes something else: relative error" in reason


def test_without_the_operator_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is not loaded; build RecSDK's operators and let RANKBENCH_MXREC name the library" in str(npu.why_unavailable())
    monkeypatch.setenv("RANKBENCH_MXREC", "/no/such/library.so")
    assert "RANKBENCH_MXREC names /no/such/library.so, which cannot be loaded" in str(npu.why_unavailable())
    assert "it runs on npu alone" in str(dispatch.find("hstu_attention", "npu").refusal(CPU))


def test_a_softmax_goes_the_way_of_torch() -> None:
    plan = geometry([9, 4], 5, 0.2, 1)
    q, k, v = torch.randn(3, 13, 2, 8)
    inputs = Inputs(q, k, v, plan, 0.3, None, None, "softmax", 1.0)
    assert torch.equal(npu.attention(inputs), torch_blocks.attention(inputs))


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("tie", [0.0, 0.4])
@pytest.mark.parametrize("per_head", [False, True])
def test_bias_gradients_keep_their_precision_in_half(per_head: bool, tie: float) -> None:
    """Differences of prefix sums over many keys: as sums of bf16 they would be off by more than the gradient."""
    plan, generator = geometry([60, 31], 50, tie, 3), torch.Generator().manual_seed(3)
    shape = (2,) if per_head else ()
    q, k, v, grad = (torch.randn(91, 2, 16, generator=generator, dtype=torch.float64) for _ in range(4))
    tables = [torch.randn(rows, *shape, generator=generator, dtype=torch.float64) for rows in (12, GAP_BUCKETS)]
    results = []
    for run, dtype in ((npu.attention, torch.bfloat16), (torch_blocks.attention, torch.float64)):
        leaves = [table.to(torch.float32 if dtype == torch.bfloat16 else dtype).requires_grad_() for table in tables]
        out = run(Inputs(*(one.to(dtype) for one in (q, k, v)), plan, 0.3, *leaves, "silu", 10.0))
        results.append(torch.autograd.grad(out, leaves, grad.to(dtype)))
    for own, wanted in zip(*results, strict=True):
        assert own.dtype == torch.float32 and float((own.double() - wanted).norm() / wanted.norm()) < 0.02
