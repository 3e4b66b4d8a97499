"""Programs of the `triton` implementation: one a block of queries or keys and head. triton.py calls them and says what they mean.

All tensors are contiguous; T tokens, H heads, D and DV numbers a head, padded to BD and BDV by masks. Logits, weights and sums
are float32, products of matrices take the inputs' dtype.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _buckets(time_i, time_j, borders, BUCKETS, BORDERS: tl.constexpr):
    """Time buckets [BM, BN] of query and key pairs."""
    gap = tl.abs(time_i[:, None] - time_j[None, :])
    # A logarithm in single precision is off by one bucket at most; the exact borders decide.
    guess = tl.floor(tl.log(tl.maximum(gap, 1000).to(tl.float32) * 0.001) / 0.301).to(tl.int32)
    bucket = tl.minimum(tl.maximum(guess, 0), BORDERS)
    above = tl.load(borders + tl.minimum(bucket, BORDERS - 1))
    below = tl.load(borders + tl.maximum(bucket - 1, 0))
    bucket += ((bucket < BORDERS) & (gap >= above)).to(tl.int32) - ((bucket > 0) & (gap < below)).to(tl.int32)
    return tl.minimum(bucket, BUCKETS - 1)


@triton.jit
def _bias(
    position_i, position_j, time_i, time_j, position_table, time_table, borders, h,
    R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS: tl.constexpr, POSITION: tl.constexpr, TIME: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Bias [BM, BN] of query and key pairs, and which rows of the tables it reads."""
    bias = tl.zeros([BM, BN], tl.float32)
    place = tl.zeros([BM, BN], tl.int32)
    bucket = tl.zeros([BM, BN], tl.int32)
    if POSITION:
        place = tl.minimum(tl.maximum(position_i[:, None] - position_j[None, :], 0), R - 1)
        bias += tl.load(position_table + place * POSITION_HEADS + h % POSITION_HEADS).to(tl.float32)
    if TIME:
        bucket = _buckets(time_i, time_j, borders, BUCKETS, BORDERS)
        bias += tl.load(time_table + bucket * TIME_HEADS + h % TIME_HEADS).to(tl.float32)
    return bias, place, bucket


@triton.jit
def _rows(x, i, h, valid, H, SIZE: tl.constexpr, PADDED: tl.constexpr):
    """Rows i of head h of x [T, H, SIZE]: [rows, PADDED], zeros beyond."""
    d = tl.arange(0, PADDED)
    return tl.load(x + (i[:, None] * H + h) * SIZE + d[None, :], mask=valid[:, None] & (d[None, :] < SIZE), other=0.0)


@triton.jit
def _own_bias(
    position_table, time_table, own_bucket, i, valid, h, POSITION_HEADS, BUCKETS, TIME_HEADS, POSITION: tl.constexpr,
    TIME: tl.constexpr, OWN_TIME: tl.constexpr,
):  # fmt: skip
    """Bias of the tokens' own keys, and which rows of the time table they read."""
    bias = tl.zeros_like(i).to(tl.float32)
    bucket = tl.zeros_like(i).to(tl.int32)
    if POSITION:
        bias += tl.load(position_table + h % POSITION_HEADS).to(tl.float32)
    if TIME:
        if OWN_TIME:
            bucket = tl.minimum(tl.load(own_bucket + i, mask=valid, other=0).to(tl.int32), BUCKETS - 1)
        bias += tl.load(time_table + bucket * TIME_HEADS + h % TIME_HEADS).to(tl.float32)
    return bias, bucket


@triton.jit(do_not_specialize=["T", "R"])
def forward(
    q, k, v, out, lse, lo, hi, position, query_time, key_time, first, last, inverse, own_bucket, position_table, time_table,
    borders, T, H, alpha, R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS: tl.constexpr, POSITION: tl.constexpr,
    TIME: tl.constexpr, OWN_TIME: tl.constexpr, SOFTMAX: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr,
    BDV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    block, h = tl.program_id(0), tl.program_id(1)
    i = block * BM + tl.arange(0, BM)
    valid = i < T
    q_rows = _rows(q, i, h, valid, H, D, BD)
    v_own = _rows(v, i, h, valid, H, DV, BDV).to(tl.float32)
    lo_i, hi_i = tl.load(lo + i, mask=valid, other=0), tl.load(hi + i, mask=valid, other=0)
    position_i, time_i = lo_i, lo_i
    if POSITION:
        position_i = tl.load(position + i, mask=valid, other=0).to(tl.int32)
    if TIME:
        time_i = tl.load(query_time + i, mask=valid, other=0)
    own_bias, own_row = _own_bias(
        position_table, time_table, own_bucket, i, valid, h, POSITION_HEADS, BUCKETS, TIME_HEADS, POSITION, TIME, OWN_TIME
    )
    own = alpha * tl.sum(q_rows.to(tl.float32) * _rows(k, i, h, valid, H, D, BD).to(tl.float32), 1) + own_bias
    # Softmax: the largest logit and the sum of exponentials so far begin with the token's own key.
    most, total = own, tl.full([BM], 1.0, tl.float32)
    result = v_own if SOFTMAX else tl.zeros([BM, BDV], tl.float32)
    for start in range(tl.load(first + block), tl.load(last + block), BN):
        j = start + tl.arange(0, BN)
        real = j < T
        k_rows, v_rows = _rows(k, j, h, real, H, D, BD), _rows(v, j, h, real, H, DV, BDV)
        position_j, time_j = j, j
        if POSITION:
            position_j = tl.load(position + j, mask=real, other=0).to(tl.int32)
        if TIME:
            time_j = tl.load(key_time + j, mask=real, other=0)
        bias, place, bucket = _bias(
            position_i, position_j, time_i, time_j, position_table, time_table, borders, h,
            R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS, POSITION, TIME, BM, BN,
        )  # fmt: skip
        s = tl.dot(q_rows, tl.trans(k_rows), input_precision=PRECISION) * alpha + bias
        seen = (j[None, :] >= lo_i[:, None]) & (j[None, :] < hi_i[:, None]) & (j[None, :] != i[:, None])
        if SOFTMAX:
            s = tl.where(seen, s, -float("inf"))
            new = tl.maximum(most, tl.max(s, 1))
            shrink = tl.exp(most - new)
            weight = tl.exp(s - new[:, None])
            total = total * shrink + tl.sum(weight, 1)
            result = result * shrink[:, None] + tl.dot(weight.to(v_rows.dtype), v_rows, input_precision=PRECISION)
            most = new
        else:
            weight = tl.where(seen, s * tl.sigmoid(s), 0.0)
            result += tl.dot(weight.to(v_rows.dtype), v_rows, input_precision=PRECISION)
    if SOFTMAX:
        result = result / total[:, None]
        tl.store(lse + i * H + h, most + tl.log(total), mask=valid)
    else:
        result += (own * tl.sigmoid(own))[:, None] * v_own
        result *= tl.load(inverse + i, mask=valid, other=0.0)[:, None]
    d = tl.arange(0, BDV)
    tl.store(out + (i[:, None] * H + h) * DV + d[None, :], result, mask=valid[:, None] & (d[None, :] < DV))


@triton.jit
def _steps(s, dp, seen, lse_i, delta_i, SOFTMAX: tl.constexpr):
    """Weights and gradients of logits from logits and gradients of weights."""
    if SOFTMAX:
        weight = tl.where(seen, tl.exp(s - lse_i), 0.0)
        step = weight * (dp - delta_i)
    else:
        gate = tl.where(seen, tl.sigmoid(s), 0.0)
        weight = s * gate
        # SiLU'(s) = sigmoid(s) (1 + s (1 - sigmoid(s)))
        step = dp * gate * (1.0 + s * (1.0 - gate))
    return weight, step


@triton.jit
def _gradient_rows(grad, inverse, i, h, valid, H, SOFTMAX: tl.constexpr, DV: tl.constexpr, BDV: tl.constexpr):
    """Gradient of the sum before it is divided."""
    rows = _rows(grad, i, h, valid, H, DV, BDV)
    if not SOFTMAX:
        rows = (rows.to(tl.float32) * tl.load(inverse + i, mask=valid, other=0.0)[:, None]).to(rows.dtype)
    return rows


@triton.jit(do_not_specialize=["T", "R"])
def backward_queries(
    q, k, v, grad, dq, lse, delta, lo, hi, position, query_time, key_time, first, last, inverse, own_bucket, position_table,
    time_table, borders, d_position, d_time, T, H, alpha, R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS: tl.constexpr,
    POSITION: tl.constexpr, TIME: tl.constexpr, OWN_TIME: tl.constexpr, SOFTMAX: tl.constexpr, D: tl.constexpr, DV: tl.constexpr,
    BD: tl.constexpr, BDV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr, COPIES: tl.constexpr,
):  # fmt: skip
    block, h = tl.program_id(0), tl.program_id(1)
    i = block * BM + tl.arange(0, BM)
    valid = i < T
    q_rows = _rows(q, i, h, valid, H, D, BD)
    k_own = _rows(k, i, h, valid, H, D, BD).to(tl.float32)
    g_rows = _gradient_rows(grad, inverse, i, h, valid, H, SOFTMAX, DV, BDV)
    lo_i, hi_i = tl.load(lo + i, mask=valid, other=0), tl.load(hi + i, mask=valid, other=0)
    position_i, time_i, lse_i, delta_i = lo_i, lo_i, lo_i.to(tl.float32), lo_i.to(tl.float32)
    if POSITION:
        position_i = tl.load(position + i, mask=valid, other=0).to(tl.int32)
    if TIME:
        time_i = tl.load(query_time + i, mask=valid, other=0)
    if SOFTMAX:
        lse_i = tl.load(lse + i * H + h, mask=valid, other=0.0)
        delta_i = tl.load(delta + i * H + h, mask=valid, other=0.0)
    copy = block % COPIES
    position_sums = d_position + copy * R * POSITION_HEADS + h % POSITION_HEADS
    time_sums = d_time + copy * BUCKETS * TIME_HEADS + h % TIME_HEADS
    own_bias, own_row = _own_bias(
        position_table, time_table, own_bucket, i, valid, h, POSITION_HEADS, BUCKETS, TIME_HEADS, POSITION, TIME, OWN_TIME
    )
    own = alpha * tl.sum(q_rows.to(tl.float32) * k_own, 1) + own_bias
    own_dp = tl.sum(g_rows.to(tl.float32) * _rows(v, i, h, valid, H, DV, BDV).to(tl.float32), 1)
    own_weight, own_step = _steps(own, own_dp, valid, lse_i, delta_i, SOFTMAX)
    if POSITION:
        tl.atomic_add(position_sums, tl.sum(own_step, 0), sem="relaxed")
    if TIME:
        if OWN_TIME:
            tl.atomic_add(time_sums + own_row * TIME_HEADS, own_step, mask=valid, sem="relaxed")
        else:
            tl.atomic_add(time_sums, tl.sum(own_step, 0), sem="relaxed")
    result = own_step[:, None] * k_own
    for start in range(tl.load(first + block), tl.load(last + block), BN):
        j = start + tl.arange(0, BN)
        real = j < T
        k_rows, v_rows = _rows(k, j, h, real, H, D, BD), _rows(v, j, h, real, H, DV, BDV)
        position_j, time_j = j, j
        if POSITION:
            position_j = tl.load(position + j, mask=real, other=0).to(tl.int32)
        if TIME:
            time_j = tl.load(key_time + j, mask=real, other=0)
        bias, place, bucket = _bias(
            position_i, position_j, time_i, time_j, position_table, time_table, borders, h,
            R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS, POSITION, TIME, BM, BN,
        )  # fmt: skip
        s = tl.dot(q_rows, tl.trans(k_rows), input_precision=PRECISION) * alpha + bias
        dp = tl.dot(g_rows, tl.trans(v_rows), input_precision=PRECISION)
        seen = (j[None, :] >= lo_i[:, None]) & (j[None, :] < hi_i[:, None]) & (j[None, :] != i[:, None])
        weight, step = _steps(s, dp, seen, lse_i[:, None], delta_i[:, None], SOFTMAX)
        result += tl.dot(step.to(k_rows.dtype), k_rows, input_precision=PRECISION)
        if POSITION:
            tl.atomic_add(position_sums + place * POSITION_HEADS, step, mask=seen, sem="relaxed")
        if TIME:
            tl.atomic_add(time_sums + bucket * TIME_HEADS, step, mask=seen, sem="relaxed")
    d = tl.arange(0, BD)
    tl.store(dq + (i[:, None] * H + h) * D + d[None, :], result * alpha, mask=valid[:, None] & (d[None, :] < D))


@triton.jit(do_not_specialize=["T", "R"])
def backward_keys(
    q, k, v, grad, dk, dv, lse, delta, lo, hi, position, query_time, key_time, first, last, inverse, own_bucket, position_table,
    time_table, borders, T, H, alpha, R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS: tl.constexpr, POSITION: tl.constexpr,
    TIME: tl.constexpr, OWN_TIME: tl.constexpr, SOFTMAX: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr,
    BDV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`first` and `last`: blocks of queries that may see the keys."""
    block, h = tl.program_id(0), tl.program_id(1)
    j = block * BN + tl.arange(0, BN)
    real = j < T
    k_rows, v_rows = _rows(k, j, h, real, H, D, BD), _rows(v, j, h, real, H, DV, BDV)
    position_j, time_j, lse_j, delta_j = j, j, j.to(tl.float32), j.to(tl.float32)
    if POSITION:
        position_j = tl.load(position + j, mask=real, other=0).to(tl.int32)
    if TIME:
        time_j = tl.load(key_time + j, mask=real, other=0)
    if SOFTMAX:
        lse_j = tl.load(lse + j * H + h, mask=real, other=0.0)
        delta_j = tl.load(delta + j * H + h, mask=real, other=0.0)
    q_own = _rows(q, j, h, real, H, D, BD).to(tl.float32)
    g_own = _gradient_rows(grad, inverse, j, h, real, H, SOFTMAX, DV, BDV).to(tl.float32)
    own_bias, own_row = _own_bias(
        position_table, time_table, own_bucket, j, real, h, POSITION_HEADS, BUCKETS, TIME_HEADS, POSITION, TIME, OWN_TIME
    )
    own = alpha * tl.sum(q_own * k_rows.to(tl.float32), 1) + own_bias
    own_weight, own_step = _steps(own, tl.sum(g_own * v_rows.to(tl.float32), 1), real, lse_j, delta_j, SOFTMAX)
    d_key, d_value = own_step[:, None] * q_own, own_weight[:, None] * g_own
    for at in range(tl.load(first + block), tl.load(last + block)):
        i = at * BM + tl.arange(0, BM)
        valid = i < T
        q_rows = _rows(q, i, h, valid, H, D, BD)
        g_rows = _gradient_rows(grad, inverse, i, h, valid, H, SOFTMAX, DV, BDV)
        lo_i, hi_i = tl.load(lo + i, mask=valid, other=0), tl.load(hi + i, mask=valid, other=0)
        position_i, time_i, lse_i, delta_i = lo_i, lo_i, lo_i.to(tl.float32), lo_i.to(tl.float32)
        if POSITION:
            position_i = tl.load(position + i, mask=valid, other=0).to(tl.int32)
        if TIME:
            time_i = tl.load(query_time + i, mask=valid, other=0)
        if SOFTMAX:
            lse_i = tl.load(lse + i * H + h, mask=valid, other=0.0)
            delta_i = tl.load(delta + i * H + h, mask=valid, other=0.0)
        bias, place, bucket = _bias(
            position_i, position_j, time_i, time_j, position_table, time_table, borders, h,
            R, POSITION_HEADS, BUCKETS, TIME_HEADS, BORDERS, POSITION, TIME, BM, BN,
        )  # fmt: skip
        s = tl.dot(q_rows, tl.trans(k_rows), input_precision=PRECISION) * alpha + bias
        dp = tl.dot(g_rows, tl.trans(v_rows), input_precision=PRECISION)
        seen = (j[None, :] >= lo_i[:, None]) & (j[None, :] < hi_i[:, None]) & (j[None, :] != i[:, None])
        weight, step = _steps(s, dp, seen, lse_i[:, None], delta_i[:, None], SOFTMAX)
        d_value += tl.dot(tl.trans(weight.to(g_rows.dtype)), g_rows, input_precision=PRECISION)
        d_key += tl.dot(tl.trans(step.to(q_rows.dtype)), q_rows, input_precision=PRECISION)
    d, e = tl.arange(0, BD), tl.arange(0, BDV)
    tl.store(dk + (j[:, None] * H + h) * D + d[None, :], d_key * alpha, mask=real[:, None] & (d[None, :] < D))
    tl.store(dv + (j[:, None] * H + h) * DV + e[None, :], d_value, mask=real[:, None] & (e[None, :] < DV))
