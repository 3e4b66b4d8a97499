"""The program of the forward pass, and what it shares with those of the backward pass.

All tensors are contiguous; T tokens, H heads, D and DV numbers a head, padded to BD and BDV by masks. Logits, weights and sums
are float32, products of matrices take the inputs' dtype. Rows of the next tile are asked for before the tile at hand is computed:
with the loop over time borders inside, the compiler would not arrange that by itself.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .bias import buckets_of_tile, own_bias, tile_bias


@triton.jit
def rows(x, start, count, h, H, SIZE: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr):
    """Head h of the rows start:start + count of x [T, H, SIZE]: [ROWS, PADDED], zeros beyond."""
    r, d = tl.arange(0, ROWS), tl.arange(0, PADDED)
    place = (start.to(tl.int64) * H + h) * SIZE + r[:, None] * (H * SIZE) + d[None, :]
    mask = r[:, None] < count
    if SIZE != PADDED:
        mask &= d[None, :] < SIZE
    return tl.load(x + place, mask=mask, other=0.0)


@triton.jit
def put_rows(x, values, start, count, h, H, SIZE: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr):
    """Writes what `rows` reads."""
    r, d = tl.arange(0, ROWS), tl.arange(0, PADDED)
    place = (start.to(tl.int64) * H + h) * SIZE + r[:, None] * (H * SIZE) + d[None, :]
    tl.store(x + place, values.to(x.dtype.element_ty), mask=(r[:, None] < count) & (d[None, :] < SIZE))


@triton.jit
def is_whole(start, stop, row, whole_from, whole_to, BM: tl.constexpr):
    """Whether the rows of a block that begins at `row` all see all keys start:stop, and none of these is a row's own."""
    return (start >= whole_from) & (stop <= whole_to) & ((stop <= row) | (start >= row + BM))


@triton.jit
def seen_pairs(i, j, lo_i, hi_i):
    """[BM, BN]: keys in the interval of a query but its own, which is counted apart."""
    return (j[None, :] >= lo_i[:, None]) & (j[None, :] < hi_i[:, None]) & (j[None, :] != i[:, None])


@triton.jit(do_not_specialize=["T", "R"])
def forward(
    q, k, v, out, lse, inverse, begin, end, first, last, whole_from, whole_to, near, far, lo, hi, position, runs, edges,
    own_bucket, position_table, time_table, T, H, alpha, R, BUCKETS,
    POSITION_HEADS: tl.constexpr, TIME_HEADS: tl.constexpr, POSITION: tl.constexpr, TIME: tl.constexpr, OWN_TIME: tl.constexpr,
    SOFTMAX: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr, BDV: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, LANES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Output of one block and head, and of a softmax the logarithm of each row's normaliser."""
    block, h = tl.program_id(0), tl.program_id(1)
    row = tl.load(begin + block)
    count = tl.load(end + block) - row
    if count <= 0:
        return
    i = row + tl.arange(0, BM)
    valid = tl.arange(0, BM) < count
    q_rows = rows(q, row, count, h, H, D, BD, BM)
    lo_i, hi_i = tl.load(lo + i, mask=valid, other=0), tl.load(hi + i, mask=valid, other=0)
    all_from, all_to = tl.load(whole_from + block), tl.load(whole_to + block)
    position_i, near_block, far_block = lo_i, lo_i, lo_i
    if POSITION:
        position_table += h % POSITION_HEADS
        position_i = tl.load(position + i, mask=valid, other=0)
    if TIME:
        time_table += h % TIME_HEADS
        near_block = tl.load(near + block * LANES + tl.arange(0, LANES))
        far_block = tl.load(far + block * LANES + tl.arange(0, LANES))
    bias, bucket = own_bias(position_table, time_table, own_bucket, i, valid, BUCKETS, TIME_HEADS, POSITION, TIME, OWN_TIME, BM)
    own = alpha * tl.sum(q_rows.to(tl.float32) * rows(k, row, count, h, H, D, BD, BM).to(tl.float32), 1) + bias
    # Both sums begin with the token's own key; of a softmax its logit is the largest so far.
    result = rows(v, row, count, h, H, DV, BDV, BM).to(tl.float32)
    most, total = own, tl.full([BM], 1.0, tl.float32)
    if not SOFTMAX:
        result *= (own * tl.sigmoid(own))[:, None]
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
        whole = is_whole(start, start + BN, row, all_from, all_to, BM)
        if SOFTMAX:
            if not whole:
                s = tl.where(seen_pairs(i, j, lo_i, hi_i), s, -float("inf"))
            new = tl.maximum(most, tl.max(s, 1))
            shrink = tl.exp(most - new)
            weight = tl.exp(s - new[:, None])
            total = total * shrink + tl.sum(weight, 1)
            result *= shrink[:, None]
            most = new
        else:
            weight = s * tl.sigmoid(s)
            if not whole:
                weight = tl.where(seen_pairs(i, j, lo_i, hi_i), weight, 0.0)
        result = tl.dot(weight.to(v_rows.dtype), v_rows, result, input_precision=PRECISION)
    if SOFTMAX:
        result = result / total[:, None]
        tl.store(lse + i * H + h, most + tl.log(total), mask=valid)
    else:
        result *= tl.load(inverse + i, mask=valid, other=0.0)[:, None]
    put_rows(out, result, row, count, h, H, DV, BDV, BM)
