"""HSTU's attention over packed tokens with interval bounds: one operation, several implementations.

    out_i = sum over j in [lo_i, hi_i) or j = i of  A_ij v_j
    s_ij  = alpha q_i . k_j + position_bias[p_i - p_j] + time_bias[bucket(query_time_i - key_time_j)]
    A_ij  = SiLU(s_ij) / divisor_i       (activation "silu": Zhai et al. 2024, equation 2)
    A_i.  = softmax(s_i.)                (activation "softmax", over the same keys)

A token's own key has relative position 0 and time bucket 0, and counts once even where it lies in the interval. Because what is
seen is an interval, causal, windowed, request-grouped, candidate-isolated and two-way masks are all the same kernel.
"""

from .interface import IMPLEMENTATIONS, bias_mixing, hstu_attention
from .kv_cache import KVCache, LayerCache, continued
from .plan import AttentionPlan, plan_attention

__all__ = [
    "IMPLEMENTATIONS", "AttentionPlan", "KVCache", "LayerCache", "bias_mixing", "continued", "hstu_attention", "plan_attention",
]  # fmt: skip
