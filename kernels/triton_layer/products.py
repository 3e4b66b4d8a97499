"""The two products of the forward pass, with what stands before and behind them.

T tokens of width D; all tensors are contiguous. A program computes BM rows and BN columns and goes through the D inputs by BK.
Neighbouring programs share their rows, so that these are read from the cache, as the weights are. Sums are float32; factors have
the weights' type.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def tile(x, rows, columns, T, D: tl.constexpr, WIDTH: tl.constexpr):
    """float32 [rows, columns] of x [T, D], or of D columns of a wider one; zeros beyond."""
    at = x + rows[:, None].to(tl.int64) * WIDTH + columns[None, :]
    return tl.load(at, mask=(rows[:, None] < T) & (columns[None, :] < D), other=0.0).to(tl.float32)


@triton.jit
def normed_tile(x, mean, scale, rows, columns, T, D: tl.constexpr):
    """float32: (x - mean) * scale, zeros beyond."""
    m = tl.load(mean + rows, mask=rows < T, other=0.0)
    s = tl.load(scale + rows, mask=rows < T, other=0.0)
    values = (tile(x, rows, columns, T, D, D) - m[:, None]) * s[:, None]
    return tl.where(columns[None, :] < D, values, 0.0)


@triton.jit
def kept_tile(seed, rows, columns, rate):
    """float32 [rows, columns] of the mask of dropout: 0, or 1 / (1 - rate). Philox counts by row and column, so that any program
    computes the same mask from the same seed."""
    row = tl.broadcast_to(rows[:, None], [rows.shape[0], columns.shape[0]])
    column = tl.broadcast_to(columns[None, :], [rows.shape[0], columns.shape[0]])
    nothing = tl.zeros_like(row)
    bits, _, _, _ = tl.philox(tl.load(seed), column, row, nothing, nothing)
    return tl.where(tl.uint_to_uniform_float(bits) >= rate, 1.0 / (1.0 - rate), 0.0)


@triton.jit(do_not_specialize=["T"])
def project(
    x, mean, scale, weight, z, parts, T, D: tl.constexpr, N: tl.constexpr, KEEP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """z [T, N] = LN(x) W^T, kept if KEEP; SiLU(z) in parts [N / D, T, D]."""
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    columns = tl.program_id(0) * BN + tl.arange(0, BN)
    total = tl.zeros([BM, BN], tl.float32)
    for begin in range(0, D, BK):
        inner = begin + tl.arange(0, BK)
        at = weight + columns[None, :] * D + inner[:, None]
        w = tl.load(at, mask=(columns[None, :] < N) & (inner[:, None] < D), other=0.0)
        normed = normed_tile(x, mean, scale, rows, inner, T, D).to(w.dtype)
        total = tl.dot(normed, w, total, input_precision=PRECISION)
    # As the backward pass reads it.
    rounded = total.to(parts.dtype.element_ty)
    real = (rows[:, None] < T) & (columns[None, :] < N)
    row = rows[:, None].to(tl.int64)
    if KEEP:
        tl.store(z + row * N + columns[None, :], rounded, mask=real)
    value = rounded.to(tl.float32)
    value = value * tl.sigmoid(value)
    part = (columns // D)[None, :].to(tl.int64)
    tl.store(parts + (part * T + row) * D + (columns % D)[None, :], value.to(parts.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=["T"])
def output(
    gate, attended, a_mean, a_scale, x, x_mean, x_scale, weight, bias, y, seed, T, rate, D: tl.constexpr, DROPOUT: tl.constexpr,
    CLEAN: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y = (x or LN(x)) + (gate * LN(attended) * mask) W^T + bias, [T, D]."""
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    columns = tl.program_id(0) * BN + tl.arange(0, BN)
    total = tl.zeros([BM, BN], tl.float32)
    for begin in range(0, D, BK):
        inner = begin + tl.arange(0, BK)
        at = weight + columns[None, :] * D + inner[:, None]
        w = tl.load(at, mask=(columns[None, :] < D) & (inner[:, None] < D), other=0.0)
        gated = tile(gate, rows, inner, T, D, D) * normed_tile(attended, a_mean, a_scale, rows, inner, T, D)
        if DROPOUT:
            gated *= kept_tile(seed, rows, inner, rate)
        total = tl.dot(gated.to(w.dtype), w, total, input_precision=PRECISION)
    total += tl.load(bias + columns, mask=columns < D, other=0.0).to(tl.float32)[None, :]
    if CLEAN:
        total += tile(x, rows, columns, T, D, D)
    else:
        total += normed_tile(x, x_mean, x_scale, rows, columns, T, D)
    at = y + rows[:, None].to(tl.int64) * D + columns[None, :]
    tl.store(at, total.to(y.dtype.element_ty), mask=(rows[:, None] < T) & (columns[None, :] < D))
