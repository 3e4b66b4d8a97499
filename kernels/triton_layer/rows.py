"""Programs over whole rows: a program has ROWS of them, of D numbers, padded to BD. Names are those of products.py."""

from __future__ import annotations

import triton
import triton.language as tl

from .products import kept_tile, normed_tile, tile


@triton.jit
def _put(x, values, rows, columns, T, D: tl.constexpr, WIDTH: tl.constexpr):
    """Writes what `tile` reads."""
    at = x + rows[:, None].to(tl.int64) * WIDTH + columns[None, :]
    tl.store(at, values.to(x.dtype.element_ty), mask=(rows[:, None] < T) & (columns[None, :] < D))


@triton.jit
def _through_norm(gradient, normed, scale, D: tl.constexpr):
    """The gradient of x from that of LN(x): scale (g - mean(g) - LN(x) mean(g LN(x))). Columns beyond D are zero."""
    along = tl.sum(gradient * normed, 1) / D
    return (gradient - (tl.sum(gradient, 1) / D)[:, None] - normed * along[:, None]) * scale[:, None]


@triton.jit(do_not_specialize=["T"])
def moments(x, mean, scale, T, epsilon, D: tl.constexpr, BD: tl.constexpr, ROWS: tl.constexpr):
    """float32 [T] each: the mean of a row, and 1 / sqrt(variance + epsilon)."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BD)
    values = tile(x, rows, columns, T, D, D)
    middle = tl.sum(values, 1) / D
    apart = tl.where(columns[None, :] < D, values - middle[:, None], 0.0)
    tl.store(mean + rows, middle, mask=rows < T)
    tl.store(scale + rows, 1.0 / tl.sqrt(tl.sum(apart * apart, 1) / D + epsilon), mask=rows < T)


@triton.jit(do_not_specialize=["T"])
def normalise(x, mean, scale, normed, T, D: tl.constexpr, BD: tl.constexpr, ROWS: tl.constexpr):
    """LN(x), in the type of `normed`."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BD)
    _put(normed, normed_tile(x, mean, scale, rows, columns, T, D), rows, columns, T, D, D)


@triton.jit(do_not_specialize=["T"])
def split(z, vqk, T, D: tl.constexpr, BD: tl.constexpr, ROWS: tl.constexpr):
    """SiLU of v, q and k, [3, T, D], from z [T, 4 D]; program_id(1) says of which."""
    rows, columns, part = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BD), tl.program_id(1)
    value = tile(z + (part + 1) * D, rows, columns, T, D, 4 * D)
    _put(vqk + part.to(tl.int64) * T * D, value * tl.sigmoid(value), rows, columns, T, D, D)


@triton.jit(do_not_specialize=["T"])
def gate_backward(
    d_gated, z, attended, mean, scale, seed, gated, d_gate, d_attended, T, rate, D: tl.constexpr, BD: tl.constexpr,
    DROPOUT: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """gated = u * LN(attended) * mask again, and the gradients of u and of what attention gave."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BD)
    u = tile(z, rows, columns, T, D, 4 * D)
    u = u * tl.sigmoid(u)
    normed = normed_tile(attended, mean, scale, rows, columns, T, D)
    gradient, value = tile(d_gated, rows, columns, T, D, D), u * normed
    if DROPOUT:
        kept = kept_tile(seed, rows, columns, rate)
        gradient, value = gradient * kept, value * kept
    _put(gated, value, rows, columns, T, D, D)
    _put(d_gate, gradient * normed, rows, columns, T, D, D)
    s = tl.load(scale + rows, mask=rows < T, other=0.0)
    _put(d_attended, _through_norm(gradient * u, normed, s, D), rows, columns, T, D, D)


@triton.jit(do_not_specialize=["T"])
def silu_backward(z, du, dv, dq, dk, dz, T, D: tl.constexpr, BD: tl.constexpr, ROWS: tl.constexpr):
    """dz [T, 4 D] from the gradients of the four parts; program_id(1) says of which."""
    rows, columns, part = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BD), tl.program_id(1)
    value = tile(z + part * D, rows, columns, T, D, 4 * D)
    if part == 0:
        gradient = tile(du, rows, columns, T, D, D)
    elif part == 1:
        gradient = tile(dv, rows, columns, T, D, D)
    elif part == 2:
        gradient = tile(dq, rows, columns, T, D, D)
    else:
        gradient = tile(dk, rows, columns, T, D, D)
    s = tl.sigmoid(value)
    _put(dz + part * D, gradient * s * (1.0 + value * (1.0 - s)), rows, columns, T, D, 4 * D)


@triton.jit(do_not_specialize=["T"])
def norm_backward(
    d_normed, grad, x, mean, scale, dx, T, D: tl.constexpr, BD: tl.constexpr, CLEAN: tl.constexpr, ROWS: tl.constexpr
):
    """dx from the gradients of LN(x), as the projection read it, and of y, whose skip connection carries x or LN(x)."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BD)
    gradient, skipped = tile(d_normed, rows, columns, T, D, D), tile(grad, rows, columns, T, D, D)
    if not CLEAN:
        gradient += skipped
    s = tl.load(scale + rows, mask=rows < T, other=0.0)
    result = _through_norm(gradient, normed_tile(x, mean, scale, rows, columns, T, D), s, D)
    if CLEAN:
        result += skipped
    _put(dx, result, rows, columns, T, D, D)
