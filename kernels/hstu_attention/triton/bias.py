"""Bias of a tile of queries and keys, and the sums of its gradient that the tables get.

A tile is [BM, BN], row r is query i = row + r of one block, column c is key j = start + c. The tables come as pointers to the
column of one head, of which neighbouring rows are POSITION_HEADS or TIME_HEADS apart.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def buckets_of_tile(near, far, start, stop, BUCKETS):
    """The smallest and the largest time bucket of the keys start:stop, for any row of a block with the borders near and far
    [LANES]; both are counted in one pass."""
    counts = tl.sum((far > start).to(tl.int32) + ((near >= stop).to(tl.int32) << 8), 0)
    return tl.minimum(counts >> 8, BUCKETS - 1), tl.minimum(counts & 255, BUCKETS - 1)


@triton.jit
def tile_bias(
    position_i, position_j, position_table, R, i, valid, j, low, high, edges, time_table, T, POSITION_HEADS: tl.constexpr,
    TIME_HEADS: tl.constexpr, POSITION: tl.constexpr, TIME: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Bias [BM, BN]: of the time, one number for a tile within one bucket and one choice more for each border in it."""
    bias = tl.zeros([BM, BN], tl.float32)
    if TIME:
        bias += tl.load(time_table + low * TIME_HEADS).to(tl.float32)
        for b in range(low, high):
            border = tl.load(edges + b * T + i, mask=valid, other=0)
            beyond = tl.load(time_table + (b + 1) * TIME_HEADS).to(tl.float32)
            bias = tl.where(j[None, :] < border[:, None], beyond, bias)
    if POSITION:
        place = tl.minimum(tl.maximum(position_i[:, None] - position_j[None, :], 0), R - 1)
        bias += tl.load(position_table + place * POSITION_HEADS).to(tl.float32)
    return bias


@triton.jit
def own_bias(
    position_table, time_table, own_bucket, i, valid, BUCKETS, TIME_HEADS: tl.constexpr, POSITION: tl.constexpr,
    TIME: tl.constexpr, OWN_TIME: tl.constexpr, BM: tl.constexpr,
):  # fmt: skip
    """Bias [BM] of the tokens' own keys, and which rows of the time table they read."""
    bias = tl.zeros([BM], tl.float32)
    bucket = tl.zeros([BM], tl.int32)
    if POSITION:
        bias += tl.load(position_table).to(tl.float32)
    if TIME:
        if OWN_TIME:
            bucket = tl.minimum(tl.load(own_bucket + i, mask=valid, other=0).to(tl.int32), BUCKETS - 1)
        bias += tl.load(time_table + bucket * TIME_HEADS).to(tl.float32)
    return bias, bucket


@triton.jit
def add_own(position_sums, time_sums, step, bucket, BUCKETS, POSITION: tl.constexpr, TIME: tl.constexpr, OWN_TIME: tl.constexpr,
            LANES: tl.constexpr):  # fmt: skip
    """Gradients step [BM] of the logits of own keys."""
    total = tl.sum(step, 0)
    if POSITION:
        tl.atomic_add(position_sums, total, sem="relaxed")
    if TIME:
        if OWN_TIME:
            lane = tl.arange(0, LANES)
            of_bucket = tl.sum(tl.where(bucket[:, None] == lane[None, :], step[:, None], 0.0), 0)
            tl.atomic_add(time_sums + lane, of_bucket, mask=lane < BUCKETS, sem="relaxed")
        else:
            tl.atomic_add(time_sums, total, sem="relaxed")


@triton.jit
def add_times(time_sums, step, i, valid, j, low, high, edges, T):
    """Gradients step [BM, BN] of a tile's logits, zero where nothing is seen: one sum and one addition for each bucket in it.

    The sums are this program's alone, so that their order is that of its tiles."""
    rest = step
    for b in range(low, high):
        border = tl.load(edges + b * T + i, mask=valid, other=0)
        beyond = j[None, :] < border[:, None]
        tl.atomic_add(time_sums + b, tl.sum(tl.sum(tl.where(beyond, 0.0, rest), 1), 0), sem="relaxed")
        rest = tl.where(beyond, rest, 0.0)
    tl.atomic_add(time_sums + high, tl.sum(tl.sum(rest, 1), 0), sem="relaxed")


@triton.jit
def add_diagonals(position_sums, step, base, R, BM: tl.constexpr, BN: tl.constexpr):
    """Adds step[r, c] to place base + r - c: rows are turned until a diagonal is a column, and columns are summed."""
    r, c = tl.arange(0, BM), tl.arange(0, BN)
    distance = r[:, None] - c[None, :]
    # turned[r, c] = step[r, column], where r - column is c but for a multiple of BN.
    column = distance & (BN - 1)
    turned = tl.gather(step, column, axis=1)
    for part in tl.static_range(-1, (BM + BN - 1) // BN):
        total = tl.sum(tl.where((distance - column) == part * BN, turned, 0.0), 0)
        place = base + part * BN + c
        tl.atomic_add(position_sums + place, total, mask=(place >= 0) & (place < R), sem="relaxed")


@triton.jit
def add_positions(
    position_sums, step, position_i, position_j, real, seen, least_i, most_i, diagonal, base, R, BM: tl.constexpr,
    BN: tl.constexpr, DETERMINISTIC: tl.constexpr,
):  # fmt: skip
    """Gradients step [BM, BN] of a tile's logits, zero where nothing is seen.

    Args:
        real: [BN], columns that are keys of the block at all.
        least_i, most_i: of the positions of the block's queries.
        diagonal: whether of each row r and column c the place is base + r - c.
    """
    smallest = least_i - tl.max(tl.where(real, position_j, -(2**31)), 0)
    if smallest >= R - 1:
        tl.atomic_add(position_sums + R - 1, tl.sum(tl.sum(step, 1), 0), sem="relaxed")
    elif diagonal & (base + BM <= R):
        add_diagonals(position_sums, step, base, R, BM, BN)
    else:
        place = tl.minimum(tl.maximum(position_i[:, None] - position_j[None, :], 0), R - 1)
        if DETERMINISTIC:
            largest = most_i - tl.min(tl.where(real, position_j, 2**31 - 1), 0)
            for one in range(tl.maximum(smallest, 0), tl.minimum(largest, R - 1) + 1):
                total = tl.sum(tl.sum(tl.where(place == one, step, 0.0), 1), 0)
                tl.atomic_add(position_sums + one, total, sem="relaxed")
        else:
            tl.atomic_add(position_sums + place, step, mask=seen, sem="relaxed")
    if DETERMINISTIC:
        tl.debug_barrier()  # the next tile's sums of a place may be another thread's
