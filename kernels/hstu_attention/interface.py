"""The public call and the choice of an implementation."""

from __future__ import annotations

import torch
from torch import Tensor

from ..dispatch import Implementation, choose, names, register
from . import cpu, dense, npu, reference, torch_blocks, triton
from .plan import Activation, AttentionPlan, Inputs

_CPU = {"device": "cpu", "dtypes": (torch.float32, torch.bfloat16, torch.float16), "probe": cpu.LIBRARY.why_unavailable}

_TRITON = {"device": "cuda", "dtypes": (torch.float32, torch.bfloat16, torch.float16), "probe": triton.why_unavailable}

_NPU = {"device": "npu", "dtypes": (torch.float32, torch.bfloat16, torch.float16), "probe": npu.why_unavailable}

_FUSED = "fused C++: logits and weights never leave the cache, the backward pass computes them again"
_HUAWEI = "Huawei's `hstu_dense` on segments padded to a few lengths; SiLU alone, a softmax goes the way of `torch`"
_BLOCKS = "plain PyTorch, blocks of 64 queries against the range of keys that they see"
_DENSE = "every query against every key, masked: for programs that are exported, in which no shape may depend on a bound"
_DEFINITION = "the definition in loops and float64; tests compare with it, nothing chooses it"

register(
    "hstu_attention",
    Implementation("cpu", cpu.attention, what=_FUSED, **_CPU),
    Implementation(
        "triton", triton.attention, what="the same as programs for a GPU, one a block of a segment's tokens and head", **_TRITON
    ),
    Implementation("npu", npu.attention, what=_HUAWEI, asks_device=True, **_NPU),
    Implementation("torch", torch_blocks.attention, what=_BLOCKS, asks_device=True),
    Implementation("dense", dense.attention, automatic=False, what=_DENSE),
    Implementation("reference", reference.attention, automatic=False, what=_DEFINITION, asks_device=True),
    users="every generative ranker, bst, transact, hyformer, onetrans",
)
register(
    "bias_mixing",
    Implementation("cpu", cpu.bias_mixing, what="fused C++, without queries, keys and activation", **_CPU),
    Implementation("torch", torch_blocks.bias_mixing, what=_BLOCKS, asks_device=True),
    Implementation("dense", dense.bias_mixing, automatic=False, what=_DENSE),
    Implementation("reference", reference.bias_mixing, automatic=False, what=_DEFINITION, asks_device=True),
    users="fuxi, fuxi-beta",
)

IMPLEMENTATIONS = names("hstu_attention")
"""`cpu`: fused C++, float32 and smaller. `triton`: the same on a GPU. `npu`: Huawei's operator, where it is
loaded. `torch`: blocks of queries against the range of keys that
they can see, on any device. `reference`: the definition in loops and float64, for tests."""


def hstu_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    plan: AttentionPlan,
    *,
    alpha: float = 1.0,
    position_bias: Tensor | None = None,
    time_bias: Tensor | None = None,
    activation: Activation = "silu",
    divisor: Tensor | float = 1.0,
    implementation: str | None = None,
) -> Tensor:
    """Attention of every token over what it sees.

    Args:
        q, k: [T, H, D]. v: [T, H, Dv]. Of a plan with tokens that ask nothing, q has the others alone: [T - past, H, D].
        position_bias: [R], shared by heads, or [R, H]; relative positions beyond R - 1 use the last row.
        time_bias: [buckets] or [buckets, H] over `time_buckets` of the gap; needs times in the plan. A token's own key has
            the first row, or with own_time in the plan the row of the gap from there.
        divisor: of the SiLU weights; a number, or one a query.
        implementation: a name of IMPLEMENTATIONS; None for what `dispatch` chooses.

    Returns:
        [T, H, Dv] of the tokens that ask, differentiable in q, k, v and both bias tables.
    """
    if time_bias is not None and plan.query_time is None:
        raise ValueError("time_bias needs query_time and key_time in the plan")
    run = choose("hstu_attention", q.device, q.dtype, implementation).run
    _check_rows(k, plan)
    if plan.past:
        q = torch.cat([q.new_zeros(plan.past, *q.shape[1:]), q])
        if isinstance(divisor, Tensor):
            divisor = torch.cat([divisor.new_ones(plan.past), divisor])
    out = run(Inputs(q, k, v, plan, alpha, position_bias, time_bias, activation, divisor))
    return out[plan.past :] if plan.past else out


def bias_mixing(
    v: Tensor,
    plan: AttentionPlan,
    position_table: Tensor | None = None,
    time_table: Tensor | None = None,
    implementation: str | None = None,
) -> Tensor:
    """Mixing by place or time alone, as FuXi-alpha's two extra channels do: no query, no key, no activation, no divisor.

        out_i = sum over j in [lo_i, hi_i) or j = i of  (position_table[p_i - p_j] + time_table[bucket_ij]) v_j

    Args:
        v: [T, H, Dv].
        position_table, time_table: as the biases of `hstu_attention`; one of them at least.

    Returns:
        [T, H, Dv] of the tokens that ask, differentiable in v and both tables.
    """
    if position_table is None and time_table is None:
        raise ValueError("bias_mixing needs a position table or a time table")
    if time_table is not None and plan.query_time is None:
        raise ValueError("time_table needs query_time and key_time in the plan")
    run = choose("bias_mixing", v.device, v.dtype, implementation).run
    _check_rows(v, plan)
    out = run(v, plan, position_table, time_table)
    return out[plan.past :] if plan.past else out


def _check_rows(rows: Tensor, plan: AttentionPlan) -> None:
    """Compiled code would read what lies behind the last row."""
    if len(rows) != len(plan.lo):
        raise ValueError(f"the plan has {len(plan.lo)} tokens, but there are keys and values of {len(rows)}")
