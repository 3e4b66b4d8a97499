"""New tokens behind a past that was computed before: the same numbers as in one pass, whatever runs, layer by layer."""

from __future__ import annotations

import pytest
import torch

from rankbench.kernels.hstu_attention import KVCache, LayerCache, bias_mixing, continued, hstu_attention, plan_attention

from .test_cpu import candidates
from .test_hstu_attention import FAST, inputs, precisions
from .test_own_time import with_own_time

P, C = 20, 4
WHOLE = with_own_time(candidates(P, C, 1))
TIMES = {key: getattr(WHOLE, key) for key in ("query_time", "key_time", "own_time")}
PAST = plan_attention(
    torch.tensor([0, P]), WHOLE.lo[:P], WHOLE.hi[:P], WHOLE.position[:P], **{key: one[:P] for key, one in TIMES.items()}
)


@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("name", FAST)
def test_new_tokens_get_what_one_pass_gives_them(name: str, activation: str) -> None:
    """With own gaps and a divisor for each query, in two layers, twice: reading leaves nothing."""
    dtype, relative = precisions(name)[0]
    after = continued(PAST, WHOLE.lo[P:], WHOLE.position[P:], **{key: one[P:] for key, one in TIMES.items()})
    divisor = torch.linspace(2, 5, P + C, dtype=dtype)
    cache = KVCache.empty(PAST, 2)
    layers = [inputs(P + C, 2, 4, 3, "both", dtype, seed) for seed in range(2)]
    for x, kept in zip(layers, cache.layers, strict=True):
        kept.with_past(x.k[:P], x.v[:P])
    for index in (1, 0, 1):
        x = layers[index]
        tables = {"position_bias": x.position_bias, "time_bias": x.time_bias, "activation": activation, "implementation": name}
        whole = hstu_attention(x.q, x.k, x.v, WHOLE, divisor=divisor, **tables)  # type: ignore[arg-type]
        k, v = cache.layers[index].with_past(x.k[P:], x.v[P:])
        found = hstu_attention(x.q[P:], k, v, after, divisor=divisor[P:], **tables)  # type: ignore[arg-type]
        assert torch.allclose(found, whole[P:], atol=10 * relative)
        mixed = bias_mixing(v, after, x.position_bias, x.time_bias, name)
        assert torch.allclose(mixed, bias_mixing(x.v, WHOLE, x.position_bias, x.time_bias, name)[P:], atol=10 * relative)


def test_what_is_kept_is_no_view_of_the_projection_it_came_from() -> None:
    key, value = torch.randn(P, 2, 12).chunk(2, dim=2)
    kept = LayerCache()
    assert kept.with_past(key, value) == (key, value)
    before = key.clone()
    key.zero_()
    joined, _ = kept.with_past(torch.ones(C, 2, 6), torch.ones(C, 2, 6))
    assert torch.equal(joined, torch.cat([before, torch.ones(C, 2, 6)]))


def test_a_layer_that_was_left_out_of_the_first_pass_is_refused() -> None:
    after = continued(PAST, WHOLE.lo[P:], WHOLE.position[P:], **{key: one[P:] for key, one in TIMES.items()})
    k, v = KVCache.empty(PAST, 1).layers[0].with_past(torch.zeros(C, 1, 2), torch.zeros(C, 1, 2))
    with pytest.raises(ValueError, match="the plan has 24 tokens, but there are keys and values of 4"):
        hstu_attention(torch.zeros(C, 1, 2), k, v, after)
    with pytest.raises(ValueError, match="the plan has 24 tokens"):
        bias_mixing(v, after, torch.zeros(3))
