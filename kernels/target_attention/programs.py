"""Programs of the activation unit for GPUs: BT events of all layers at a time.

A layer of an event is padded to BH (first) and BG (second) numbers, powers of two, whose rest is zero because weights are read
as zero there. T events of n examples, keys and queries of Q numbers; A rows of tables, [V, H1] in all, are added to the first
layer. All tensors are contiguous. Sums are float32; factors have the weights' type.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def block(x, rows, columns, T, WIDTH: tl.constexpr):
    """float32 [rows, columns] of x [T, WIDTH]; zeros beyond."""
    at = x + rows[:, None].to(tl.int64) * WIDTH + columns[None, :]
    return tl.load(at, mask=(rows[:, None] < T) & (columns[None, :] < WIDTH), other=0.0).to(tl.float32)


@triton.jit
def put(x, values, rows, columns, T, WIDTH: tl.constexpr):
    """Writes what `block` reads."""
    at = x + rows[:, None].to(tl.int64) * WIDTH + columns[None, :]
    tl.store(at, values.to(x.dtype.element_ty), mask=(rows[:, None] < T) & (columns[None, :] < WIDTH))


@triton.jit
def transposed(weight, inputs, outputs, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr):
    """[inputs, outputs] of a matrix [OUTPUTS, INPUTS], in its type; zeros beyond."""
    at = weight + outputs[None, :] * INPUTS + inputs[:, None]
    return tl.load(at, mask=(inputs[:, None] < INPUTS) & (outputs[None, :] < OUTPUTS), other=0.0)


@triton.jit
def first_layer(
    query, key, start, added, ids, event, interaction, rows, example, T, n, Q: tl.constexpr, A: tl.constexpr, H1: tl.constexpr,
    BH: tl.constexpr, BK: tl.constexpr, BT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """event k + interaction (q * k) + start + added, before its ReLU: float32 [BT, BH]."""
    out = tl.arange(0, BH)
    total = block(start, example, out, n, H1)
    for slot in tl.static_range(A):
        row = tl.load(ids + rows.to(tl.int64) * A + slot, mask=rows < T, other=0)
        total += tl.load(added + row[:, None] * H1 + out[None, :], mask=out[None, :] < H1, other=0.0).to(tl.float32)
    for begin in range(0, Q, BK):
        inner = begin + tl.arange(0, BK)
        k, q = block(key, rows, inner, T, Q), block(query, example, inner, n, Q)
        of_key, of_product = transposed(event, inner, out, Q, H1), transposed(interaction, inner, out, Q, H1)
        total = tl.dot(k.to(of_key.dtype), of_key, total, input_precision=PRECISION)
        total = tl.dot((q * k).to(of_key.dtype), of_product, total, input_precision=PRECISION)
    return total


@triton.jit
def second_layer(first, hidden, hidden_bias, H1: tl.constexpr, H2: tl.constexpr, BH: tl.constexpr, BG: tl.constexpr,
                 PRECISION: tl.constexpr):  # fmt: skip
    """hidden relu(first) + bias, before its ReLU: float32 [BT, BG]."""
    out = tl.arange(0, BG)
    weight = transposed(hidden, tl.arange(0, BH), out, H1, H2)
    bias = tl.load(hidden_bias + out, mask=out < H2, other=0.0).to(tl.float32)
    return tl.dot(tl.maximum(first, 0.0).to(weight.dtype), weight, input_precision=PRECISION) + bias[None, :]


@triton.jit(do_not_specialize=["T", "n"])
def forward(
    query, key, start, added, ids, example_of, event, interaction, hidden, hidden_bias, out, out_bias, weight, T, n,
    Q: tl.constexpr, A: tl.constexpr, H1: tl.constexpr, H2: tl.constexpr, BH: tl.constexpr, BG: tl.constexpr, BK: tl.constexpr,
    BT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """weight [T]."""
    rows = tl.program_id(0) * BT + tl.arange(0, BT)
    example = tl.load(example_of + rows, mask=rows < T, other=0)
    x = first_layer(query, key, start, added, ids, event, interaction, rows, example, T, n, Q, A, H1, BH, BK, BT, PRECISION)
    if H2 > 0:
        last = tl.arange(0, BG)
        x = second_layer(x, hidden, hidden_bias, H1, H2, BH, BG, PRECISION)
        o = tl.load(out + last, mask=last < H2, other=0.0).to(tl.float32)
    else:
        last = tl.arange(0, BH)
        o = tl.load(out + last, mask=last < H1, other=0.0).to(tl.float32)
    result = tl.sum(tl.maximum(x, 0.0) * o[None, :], 1) + tl.load(out_bias).to(tl.float32)
    tl.store(weight + rows, result.to(weight.dtype.element_ty), mask=rows < T)


@triton.jit(do_not_specialize=["T", "n"])
def backward(
    query, key, start, added, ids, example_of, event, interaction, hidden, hidden_bias, out, d_weight, d_first, d_second, kept,
    product, d_key, d_product, d_out, T, n, Q: tl.constexpr, A: tl.constexpr, H1: tl.constexpr, H2: tl.constexpr,
    BH: tl.constexpr, BG: tl.constexpr, BK: tl.constexpr, BT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of what each layer is before its ReLU, d_first [T, H1] and d_second [T, H2]; what they are multiplied with for
    the gradients of weights, kept [T, H1] (relu of the first layer) and product [T, Q] (q * k); d_key [T, Q]; d_product [T, Q],
    the gradient of an event's query; d_out [blocks, last], to be summed over the blocks."""
    rows = tl.program_id(0) * BT + tl.arange(0, BT)
    example = tl.load(example_of + rows, mask=rows < T, other=0)
    x = first_layer(query, key, start, added, ids, event, interaction, rows, example, T, n, Q, A, H1, BH, BK, BT, PRECISION)
    first = tl.arange(0, BH)
    d = tl.load(d_weight + rows, mask=rows < T, other=0.0).to(tl.float32)
    if H2 > 0:
        last = tl.arange(0, BG)
        put(kept, tl.maximum(x, 0.0), rows, first, T, H1)
        g = second_layer(x, hidden, hidden_bias, H1, H2, BH, BG, PRECISION)
        o = tl.load(out + last, mask=last < H2, other=0.0).to(tl.float32)
        tl.store(d_out + tl.program_id(0) * H2 + last, tl.sum(tl.maximum(g, 0.0) * d[:, None], 0), mask=last < H2)
        dg = tl.where(g > 0, d[:, None] * o[None, :], 0.0)
        put(d_second, dg, rows, last, T, H2)
        of_hidden = hidden + last[:, None] * H1 + first[None, :]
        w = tl.load(of_hidden, mask=(last[:, None] < H2) & (first[None, :] < H1), other=0.0)
        dx = tl.dot(dg.to(w.dtype), w, input_precision=PRECISION)
    else:
        o = tl.load(out + first, mask=first < H1, other=0.0).to(tl.float32)
        tl.store(d_out + tl.program_id(0) * H1 + first, tl.sum(tl.maximum(x, 0.0) * d[:, None], 0), mask=first < H1)
        dx = d[:, None] * o[None, :]
    dx = tl.where(x > 0, dx, 0.0)
    put(d_first, dx, rows, first, T, H1)
    for begin in range(0, Q, BK):
        inner = begin + tl.arange(0, BK)
        k, q = block(key, rows, inner, T, Q), block(query, example, inner, n, Q)
        at = first[:, None] * Q + inner[None, :]
        real = (first[:, None] < H1) & (inner[None, :] < Q)
        of_key, of_product = tl.load(event + at, mask=real, other=0.0), tl.load(interaction + at, mask=real, other=0.0)
        small = dx.to(of_key.dtype)
        through = tl.dot(small, of_product, input_precision=PRECISION)
        put(product, q * k, rows, inner, T, Q)
        put(d_key, tl.dot(small, of_key, input_precision=PRECISION) + through * q, rows, inner, T, Q)
        put(d_product, through * k, rows, inner, T, Q)
