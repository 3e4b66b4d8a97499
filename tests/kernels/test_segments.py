"""What each example does over its own jagged tokens, compiled and padded, against its definition in loops and float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels.dispatch import find, forced
from rankbench.kernels.segments import SegmentReading, Segments, segment_attention, segment_product

UNAVAILABLE = find("segment_attention", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled loops: {UNAVAILABLE}")

LENGTHS = st.lists(st.integers(0, 20), min_size=1, max_size=40)


def segments_of(lengths: Sequence[int]) -> Segments:
    return Segments(torch.tensor([0, *lengths]).cumsum(0), max(*lengths, 1))


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def results(run: Callable[..., Tensor], inputs: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Output, then gradients of all inputs, of a loss that weighs every number of the output differently."""
    leaves = [one.to(dtype).requires_grad_() for one in inputs]
    out = run(*leaves)
    weight = drawn(*out.shape, seed=7).to(dtype)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)]


def assert_definition(operation: str, name: str, call: Callable[..., Tensor], inputs: Sequence[Tensor], threads: int = 1) -> None:
    with forced({operation: "reference"}):
        wanted = results(call, inputs, torch.float64)
    torch.set_num_threads(threads)
    try:
        with forced({operation: name}):
            found = results(call, inputs, torch.float32 if name == "cpu" else torch.float64)
    finally:
        torch.set_num_threads(1)
    tolerance = 2e-5 if name == "cpu" else 1e-10
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), two, rtol=tolerance, atol=tolerance)


def reading(
    lengths: Sequence[int], queries: int, heads: int, size: int, behind: bool, tail: int, seed: int = 0
) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """An attention to call, its queries, and keys and values, `tail` of them nobody's. queries=0: the tokens ask."""
    segments, width = segments_of(lengths), heads * size
    tokens = sum(lengths) + (tail if queries else 0)
    q = drawn(len(lengths), queries, width, seed=seed) if queries else drawn(tokens, width, seed=seed)
    call = lambda q, key_value: segment_attention(q, key_value, segments, heads, behind)  # noqa: E731
    return call, [q, drawn(tokens, 2 * width, seed=seed + 1)]


SHAPES = [((0, 1, 5), 2, 2, 4), ((3, 0, 9, 2), 3, 1, 5), ((20, 1), 1, 3, 8), ((2, 7, 0), 0, 2, 3), ((1, 17), 0, 1, 9)]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(("lengths", "queries", "heads", "size"), SHAPES)
def test_padded_attention_is_its_definition(lengths: tuple[int, ...], queries: int, heads: int, size: int, behind: bool) -> None:
    assert_definition("segment_attention", "torch", *reading(lengths, queries, heads, size, behind, tail=2))


@compiled
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(("lengths", "queries", "heads", "size"), SHAPES)
def test_compiled_attention_is_its_definition(
    lengths: tuple[int, ...], queries: int, heads: int, size: int, behind: bool
) -> None:
    assert_definition("segment_attention", "cpu", *reading(lengths, queries, heads, size, behind, tail=2))


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(LENGTHS, st.integers(0, 9), st.integers(1, 3), st.integers(1, 20), st.booleans(), st.integers(0, 3), st.integers(0, 99))
def test_compiled_attention_is_the_padded_one(
    threads: int, lengths: list[int], queries: int, heads: int, size: int, behind: bool, tail: int, seed: int
) -> None:
    call, inputs = reading(lengths, queries, heads, size, behind, tail, seed)
    with forced({"segment_attention": "torch"}):
        wanted = results(call, inputs, torch.float64)
    torch.set_num_threads(threads)
    try:
        found = results(call, inputs, torch.float32)
    finally:
        torch.set_num_threads(1)
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-4)


@compiled
def test_large_logits_overflow_nowhere() -> None:
    call, (q, key_value) = reading((4, 3), 2, 1, 8, False, tail=0)
    assert_definition("segment_attention", "cpu", call, [q * 30, key_value])


@compiled
def test_a_query_that_sees_nothing_gets_zeros_and_teaches_nothing() -> None:
    call, inputs = reading((0, 1, 5), 3, 2, 4, behind=True, tail=1)
    out, d_q, d_key_value = results(call, inputs, torch.float32)
    assert not out[0].any() and not out[1, 1:].any() and out[1, 0].all() and out[2].all()
    assert not d_q[0].any() and not d_key_value[-1].any()


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(LENGTHS, st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_products_are_their_definition(threads: int, lengths: list[int], narrow: int, wide: int, seed: int) -> None:
    segments = segments_of(lengths)
    inputs = [drawn(sum(lengths), narrow, seed=seed), drawn(len(lengths), narrow, wide, seed=seed + 1)]
    call = lambda x, matrix: segment_product(x, matrix, segments)  # noqa: E731
    for name in ("cpu", "torch"):
        assert_definition("segment_product", name, call, inputs, threads)


@compiled
def test_offsets_beyond_the_tokens_are_refused() -> None:
    segments = segments_of((2, 3))
    with pytest.raises(ValueError, match="offsets end at 5, but there are 4 tokens"):
        segment_attention(torch.zeros(2, 1, 4), torch.zeros(4, 8), segments, 2)
    with pytest.raises(ValueError, match="offsets end at 5, but there are 6 tokens"):
        segment_product(torch.zeros(6, 4), torch.zeros(2, 4, 4), segments)


def test_shapes_that_do_not_fit_are_refused() -> None:
    segments = segments_of((2, 3))
    with pytest.raises(ValueError, match="queries"):
        segment_attention(torch.zeros(3, 1, 4), torch.zeros(5, 8), segments, 2)
    with pytest.raises(ValueError, match="matrices"):
        segment_product(torch.zeros(5, 4), torch.zeros(2, 5, 4), segments)


def test_it_can_be_forced_by_name() -> None:
    call, (q, key_value) = reading((2, 3), 2, 2, 4, False, tail=0)
    with forced({"segment_attention": "reference"}):
        reference = find("segment_attention", "reference").run(SegmentReading(q, key_value, segments_of((2, 3)), 2, False))
        assert torch.equal(call(q, key_value), reference)
