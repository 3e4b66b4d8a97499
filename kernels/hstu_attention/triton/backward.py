"""The programs of the backward pass: gradients of queries and tables by blocks of queries, of keys and values by blocks of keys.

Both compute a tile's logits and weights again. Names and layouts are those of forward.py.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .bias import add_own, add_positions, add_times, buckets_of_tile, own_bias, tile_bias
from .forward import is_whole, put_rows, rows, seen_pairs


@triton.jit
def _steps(s, dp, lse_i, delta_i, SOFTMAX: tl.constexpr):
    """Weights and gradients of logits from logits and gradients of weights."""
    if SOFTMAX:
        weight = tl.exp(s - lse_i)
        step = weight * (dp - delta_i)
    else:
        gate = tl.sigmoid(s)
        weight = s * gate
        # SiLU'(s) = sigmoid(s) (1 + s (1 - sigmoid(s)))
        step = dp * gate * (1.0 + s * (1.0 - gate))
    return weight, step


@triton.jit
def _gradient_rows(grad, inverse, start, count, i, valid, h, H, SOFTMAX: tl.constexpr, DV: tl.constexpr, BDV: tl.constexpr,
                   ROWS: tl.constexpr):  # fmt: skip
    """Gradient of the sum before it is divided."""
    values = rows(grad, start, count, h, H, DV, BDV, ROWS)
    if not SOFTMAX:
        values = (values.to(tl.float32) * tl.load(inverse + i, mask=valid, other=0.0)[:, None]).to(values.dtype)
    return values


@triton.jit(do_not_specialize=["T", "R"])
def backward_queries(
    q, k, v, grad, dq, lse, delta, position_sums, time_sums, inverse, begin, end, first, last, whole_from, whole_to, near, far,
    lo, hi, position, runs, edges, own_bucket, position_table, time_table, T, H, alpha, R, BUCKETS, COPIES,
    POSITION_HEADS: tl.constexpr, TIME_HEADS: tl.constexpr, POSITION: tl.constexpr, TIME: tl.constexpr, OWN_TIME: tl.constexpr,
    SOFTMAX: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr, BDV: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, LANES: tl.constexpr, PRECISION: tl.constexpr, DETERMINISTIC: tl.constexpr,
):  # fmt: skip
    """`position_sums` [COPIES, H, R] and `time_sums` [blocks, H, BUCKETS], both zeros."""
    block, h = tl.program_id(0), tl.program_id(1)
    row = tl.load(begin + block)
    count = tl.load(end + block) - row
    if count <= 0:
        return
    i = row + tl.arange(0, BM)
    valid = tl.arange(0, BM) < count
    q_rows = rows(q, row, count, h, H, D, BD, BM)
    g_rows = _gradient_rows(grad, inverse, row, count, i, valid, h, H, SOFTMAX, DV, BDV, BM)
    lo_i, hi_i = tl.load(lo + i, mask=valid, other=0), tl.load(hi + i, mask=valid, other=0)
    all_from, all_to = tl.load(whole_from + block), tl.load(whole_to + block)
    position_i, near_block, far_block, lse_i, delta_i = lo_i, lo_i, lo_i, lo_i.to(tl.float32), lo_i.to(tl.float32)
    least_i, most_i, in_line = 0, 0, False
    if POSITION:
        position_table += h % POSITION_HEADS
        position_sums += ((block % COPIES) * H + h) * R
        position_i = tl.load(position + i, mask=valid, other=0)
        least_i = tl.min(tl.where(valid, position_i, 2**31 - 1), 0)
        most_i = tl.max(position_i, 0)
        in_line = tl.load(runs + row) == tl.load(runs + row + count - 1)
    if TIME:
        time_table += h % TIME_HEADS
        time_sums += (block * H + h) * BUCKETS
        near_block = tl.load(near + block * LANES + tl.arange(0, LANES))
        far_block = tl.load(far + block * LANES + tl.arange(0, LANES))
    if SOFTMAX:
        # Beyond the block: weights of exp(-inf).
        lse_i = tl.load(lse + i * H + h, mask=valid, other=float("inf"))
        delta_i = tl.load(delta + i * H + h, mask=valid, other=0.0)
    k_own = rows(k, row, count, h, H, D, BD, BM).to(tl.float32)
    bias, bucket = own_bias(position_table, time_table, own_bucket, i, valid, BUCKETS, TIME_HEADS, POSITION, TIME, OWN_TIME, BM)
    own = alpha * tl.sum(q_rows.to(tl.float32) * k_own, 1) + bias
    own_dp = tl.sum(g_rows.to(tl.float32) * rows(v, row, count, h, H, DV, BDV, BM).to(tl.float32), 1)
    own_weight, own_step = _steps(own, own_dp, lse_i, delta_i, SOFTMAX)
    add_own(position_sums, time_sums, own_step, bucket, BUCKETS, POSITION, TIME, OWN_TIME, LANES)
    result = own_step[:, None] * k_own
    at, stop = tl.load(first + block), tl.load(last + block)
    k_next, v_next = rows(k, at, stop - at, h, H, D, BD, BN), rows(v, at, stop - at, h, H, DV, BDV, BN)
    for tile in range(0, tl.cdiv(stop - at, BN)):
        start = at + tile * BN
        k_rows, v_rows = k_next, v_next
        k_next = rows(k, start + BN, stop - start - BN, h, H, D, BD, BN)
        v_next = rows(v, start + BN, stop - start - BN, h, H, DV, BDV, BN)
        j = start + tl.arange(0, BN)
        position_j, low, high = j, 0, 0
        if POSITION:
            position_j = tl.load(position + j, mask=j < stop, other=0)
        if TIME:
            low, high = buckets_of_tile(near_block, far_block, start, tl.minimum(start + BN, stop), BUCKETS)
        s = tl.dot(q_rows, tl.trans(k_rows), input_precision=PRECISION) * alpha + tile_bias(
            position_i, position_j, position_table, R, i, valid, j, low, high, edges, time_table, T, POSITION_HEADS,
            TIME_HEADS, POSITION, TIME, BM, BN,
        )  # fmt: skip
        dp = tl.dot(g_rows, tl.trans(v_rows), input_precision=PRECISION)
        weight, step = _steps(s, dp, lse_i[:, None], delta_i[:, None], SOFTMAX)
        seen = seen_pairs(i, j, lo_i, hi_i)
        if not is_whole(start, start + BN, row, all_from, all_to, BM):
            step = tl.where(seen, step, 0.0)
        result = tl.dot(step.to(k_rows.dtype), k_rows, result, input_precision=PRECISION)
        if POSITION:
            final = tl.minimum(start + BN, stop) - 1
            diagonal = in_line & (tl.load(runs + start) == tl.load(runs + final))
            base = tl.load(position + row) - tl.load(position + start)
            add_positions(
                position_sums, step, position_i, position_j, j < stop, seen, least_i, most_i, diagonal, base, R, BM, BN,
                DETERMINISTIC,
            )  # fmt: skip
        if TIME:
            add_times(time_sums, step, i, valid, j, low, high, edges, T)
    put_rows(dq, result * alpha, row, count, h, H, D, BD, BM)


@triton.jit(do_not_specialize=["T", "R"])
def backward_keys(
    q, k, v, grad, dk, dv, lse, delta, inverse, key_begin, key_end, key_first, key_last, begin, end, whole_from, whole_to,
    near, far, lo, hi, position, edges, own_bucket, position_table, time_table, T, H, alpha, R, BUCKETS,
    POSITION_HEADS: tl.constexpr, TIME_HEADS: tl.constexpr, POSITION: tl.constexpr, TIME: tl.constexpr, OWN_TIME: tl.constexpr,
    SOFTMAX: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr, BDV: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, LANES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`key_first` and `key_last`: blocks of queries that may see the keys."""
    block, h = tl.program_id(0), tl.program_id(1)
    key = tl.load(key_begin + block)
    stop = tl.load(key_end + block)
    keys = stop - key
    if keys <= 0:
        return
    j = key + tl.arange(0, BN)
    real = tl.arange(0, BN) < keys
    k_rows, v_rows = rows(k, key, keys, h, H, D, BD, BN), rows(v, key, keys, h, H, DV, BDV, BN)
    position_j, lse_j, delta_j = j, j.to(tl.float32), j.to(tl.float32)
    if POSITION:
        position_table += h % POSITION_HEADS
        position_j = tl.load(position + j, mask=real, other=0)
    if TIME:
        time_table += h % TIME_HEADS
    if SOFTMAX:
        lse_j = tl.load(lse + j * H + h, mask=real, other=float("inf"))
        delta_j = tl.load(delta + j * H + h, mask=real, other=0.0)
    q_own = rows(q, key, keys, h, H, D, BD, BN).to(tl.float32)
    g_own = _gradient_rows(grad, inverse, key, keys, j, real, h, H, SOFTMAX, DV, BDV, BN).to(tl.float32)
    bias, bucket = own_bias(position_table, time_table, own_bucket, j, real, BUCKETS, TIME_HEADS, POSITION, TIME, OWN_TIME, BN)
    own = alpha * tl.sum(q_own * k_rows.to(tl.float32), 1) + bias
    own_weight, own_step = _steps(own, tl.sum(g_own * v_rows.to(tl.float32), 1), lse_j, delta_j, SOFTMAX)
    d_key, d_value = own_step[:, None] * q_own, own_weight[:, None] * g_own
    for at in range(tl.load(key_first + block), tl.load(key_last + block)):
        row = tl.load(begin + at)
        count = tl.load(end + at) - row
        i = row + tl.arange(0, BM)
        valid = tl.arange(0, BM) < count
        q_rows = rows(q, row, count, h, H, D, BD, BM)
        g_rows = _gradient_rows(grad, inverse, row, count, i, valid, h, H, SOFTMAX, DV, BDV, BM)
        lo_i, hi_i = tl.load(lo + i, mask=valid, other=0), tl.load(hi + i, mask=valid, other=0)
        position_i, lse_i, delta_i, low, high = lo_i, lo_i.to(tl.float32), lo_i.to(tl.float32), 0, 0
        if POSITION:
            position_i = tl.load(position + i, mask=valid, other=0)
        if TIME:
            lane = tl.arange(0, LANES)
            near_block, far_block = tl.load(near + at * LANES + lane), tl.load(far + at * LANES + lane)
            low, high = buckets_of_tile(near_block, far_block, key, stop, BUCKETS)
        if SOFTMAX:
            lse_i = tl.load(lse + i * H + h, mask=valid, other=float("inf"))
            delta_i = tl.load(delta + i * H + h, mask=valid, other=0.0)
        s = tl.dot(q_rows, tl.trans(k_rows), input_precision=PRECISION) * alpha + tile_bias(
            position_i, position_j, position_table, R, i, valid, j, low, high, edges, time_table, T, POSITION_HEADS,
            TIME_HEADS, POSITION, TIME, BM, BN,
        )  # fmt: skip
        dp = tl.dot(g_rows, tl.trans(v_rows), input_precision=PRECISION)
        weight, step = _steps(s, dp, lse_i[:, None], delta_i[:, None], SOFTMAX)
        if not is_whole(key, stop, row, tl.load(whole_from + at), tl.load(whole_to + at), BM):
            seen = seen_pairs(i, j, lo_i, hi_i)
            weight, step = tl.where(seen, weight, 0.0), tl.where(seen, step, 0.0)
        d_value = tl.dot(tl.trans(weight.to(g_rows.dtype)), g_rows, d_value, input_precision=PRECISION)
        d_key = tl.dot(tl.trans(step.to(q_rows.dtype)), q_rows, d_key, input_precision=PRECISION)
    put_rows(dk, d_key * alpha, key, keys, h, H, D, BD, BN)
    put_rows(dv, d_value, key, keys, h, H, DV, BDV, BN)
