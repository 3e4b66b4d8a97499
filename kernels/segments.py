"""Over jagged tokens what differs from example to example: its own queries read its tokens, its own matrix turns them.

A past is often far shorter than the longest of its batch: where tokens are padded to one length, most of the work may be on
nothing. On a CPU compiled loops take the tokens as they lie; elsewhere, and where a model is exported, they are padded.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register
from .padded_attention import padded_attention


@dataclass(frozen=True)
class Padding:
    """Which of T tokens of n examples stand in rows of one length L."""

    place: Tensor
    """int64 [n, L]: 1 + the token's place among all T; 0 where there is none."""
    visible: Tensor
    """bool [n, L]"""

    def rows(self, x: Tensor) -> Tensor:
        """x [T, ...] -> [n, L, ...], zeros where there is no token."""
        padded = torch.cat([x.new_zeros(1, *x.shape[1:]), x])
        return padded.index_select(0, self.place.flatten()).unflatten(0, self.place.shape)


@dataclass(frozen=True)
class Segments:
    """Where the tokens of n examples lie among T of them, end to end."""

    offsets: Tensor
    """int64 [n + 1], from 0; tokens behind the last one belong to nobody."""
    longest: int
    """No example has more tokens; one at least."""

    @property
    def lengths(self) -> Tensor:
        """int64 [n]: tokens of each example."""
        return self.offsets[1:] - self.offsets[:-1]

    def earliest(self, count: int) -> Padding:
        """The `count` first tokens of each example, the first one first."""
        place = torch.arange(count, device=self.offsets.device)
        visible = place < self.lengths.unsqueeze(1)
        return Padding(torch.where(visible, self.offsets[:-1].unsqueeze(1) + 1 + place, 0), visible)

    @functools.cached_property
    def padding(self) -> Padding:
        """All tokens, in rows of the longest."""
        return self.earliest(self.longest)

    def jagged(self, x: Tensor, tokens: int) -> Tensor:
        """x [n, longest, ...] -> [T, ...], T = `tokens`: what `padding` makes rows of, of offsets that end at T."""
        offsets = self.offsets
        rows = torch.arange(len(offsets) - 1, device=x.device)
        row = torch.repeat_interleave(rows, self.lengths, output_size=tokens)
        within = torch.arange(tokens, device=x.device) - offsets.index_select(0, row)
        return x.flatten(0, 1).index_select(0, row * self.longest + within)


class SegmentReading(NamedTuple):
    """What an implementation of `segment_attention` is given; see there."""

    q: Tensor
    key_value: Tensor
    segments: Segments
    heads: int
    behind: bool


def segment_attention(q: Tensor, key_value: Tensor, segments: Segments, heads: int, behind: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(D / heads)) v of each example and head; a query that sees nothing gets zeros.

    Args:
        q: [n, N, D], an example's own queries; or [T, D], a query of each token, where offsets end at T.
        key_value: [T, 2 D], keys and then values of the tokens, heads side by side in both.
        behind: a query sees its example's tokens from its own place on, the j-th those from the j-th on; otherwise all of them.

    Returns:
        As q.

    Raises:
        ValueError: the shapes do not fit.
    """
    n, width = len(segments.offsets) - 1, q.shape[-1]
    if len(q) != (n if q.dim() == 3 else len(key_value)) or key_value.shape[1] != 2 * width or width % heads:
        raise ValueError(
            f"queries {tuple(q.shape)} of {heads} heads over keys and values {tuple(key_value.shape)} of {n} examples"
        )
    return choose("segment_attention", q.device, q.dtype).run(SegmentReading(q, key_value, segments, heads, behind))


def segment_product(x: Tensor, matrix: Tensor, segments: Segments) -> Tensor:
    """Every token times its example's matrix: x [T, inputs], matrix [n, inputs, outputs] -> [T, outputs].

    Raises:
        ValueError: the shapes do not fit.
    """
    n = len(segments.offsets) - 1
    if len(matrix) != n or matrix.shape[1] != x.shape[1]:
        raise ValueError(f"tokens {tuple(x.shape)} times matrices {tuple(matrix.shape)} of {n} examples")
    return choose("segment_product", matrix.device, matrix.dtype).run(x, matrix, segments)


def _seen(inputs: SegmentReading) -> Tensor:
    """bool [n, N or 1, longest]"""
    visible = inputs.segments.padding.visible.unsqueeze(1)
    if not inputs.behind:
        return visible
    queries = inputs.q.shape[1] if inputs.q.dim() == 3 else visible.shape[2]
    return visible & torch.ones(queries, visible.shape[2], dtype=torch.bool, device=visible.device).triu()


def _padded_attention(inputs: SegmentReading) -> Tensor:
    q, segments = inputs.q, inputs.segments
    of_tokens = q.dim() == 2
    k, v = segments.padding.rows(inputs.key_value).chunk(2, dim=2)
    q, k, v = (part.unflatten(2, (inputs.heads, -1)) for part in (segments.padding.rows(q) if of_tokens else q, k, v))
    out = padded_attention(q, k, v, _seen(inputs)).flatten(2)
    return segments.jagged(out, len(inputs.q)) if of_tokens else out


def _padded_product(x: Tensor, matrix: Tensor, segments: Segments) -> Tensor:
    return segments.jagged(torch.bmm(segments.padding.rows(x), matrix), len(x))


def _literal_attention(inputs: SegmentReading) -> Tensor:
    """Example by example, head by head, query by query, in float64."""
    q, key_value, segments, heads, behind = inputs
    width = q.shape[-1]
    size = width // heads
    rows = q.flatten(0, 1).double() if q.dim() == 3 else q.double()
    out = []
    for row, (begin, end) in enumerate(itertools.pairwise(segments.offsets.tolist())):
        first, count = (row * q.shape[1], q.shape[1]) if q.dim() == 3 else (begin, end - begin)
        for query, head in itertools.product(range(count), range(heads)):
            own = slice(head * size, (head + 1) * size)
            seen = range(begin + (query if behind else 0), end)
            read = rows.new_zeros(size)
            if seen:
                keys = torch.stack([key_value[token, :width][own].double() for token in seen])
                values = torch.stack([key_value[token, width:][own].double() for token in seen])
                power = torch.exp((keys * rows[first + query, own]).sum(1) / math.sqrt(size))
                read = (power.unsqueeze(1) * values).sum(0) / power.sum()
            out.append(read)
    return torch.cat([*out, rows.new_zeros(0)]).view(q.shape).to(q.dtype)


def _literal_product(x: Tensor, matrix: Tensor, segments: Segments) -> Tensor:
    """Token by token, in float64."""
    rows = [row for row, count in enumerate(segments.lengths.tolist()) for _ in range(count)]
    products = [x[token].double() @ matrix[row].double() for token, row in enumerate(rows)]
    none = x[:0].double() @ matrix.double().sum(0)
    return torch.cat([none, *(product.unsqueeze(0) for product in products)]).to(x.dtype)


class _Attention(ctypes.Structure):
    """As in segments.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("examples", "queries", "heads", "size", "behind")),
        *((name, ctypes.c_void_p) for name in ("offsets", "weights_at", "q", "key_value", "out", "weights")),
    ]


class _Product(ctypes.Structure):
    """As in segments.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("examples", "inputs", "outputs")),
        *((name, ctypes.c_void_p) for name in ("offsets", "x", "matrix")),
    ]


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.segment_attention_forward.argtypes = [ctypes.POINTER(_Attention), number]
    library.segment_attention_backward.argtypes = [ctypes.POINTER(_Attention), address, address, address, number]
    library.segment_product_forward.argtypes = [ctypes.POINTER(_Product), address, number]
    library.segment_product_backward.argtypes = [ctypes.POINTER(_Product), address, address, address, number]
    for name in ("attention", "product"):
        for way in ("forward", "backward"):
            getattr(library, f"segment_{name}_{way}").restype = None


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), Path(__file__).with_name("simd.h"), declare=_declare)


class _SegmentAttention(torch.autograd.Function):
    """Saves the weights: of few queries they are fewer numbers than the keys."""

    @staticmethod
    def _problem(sizes: tuple[int, ...], *tensors: Tensor | None) -> _Attention:
        return _Attention(*sizes, *(None if one is None else one.data_ptr() for one in tensors))

    @staticmethod
    def forward(ctx: Any, q: Tensor, key_value: Tensor, offsets: Tensor, heads: int, behind: bool) -> Tensor:
        of_tokens = q.dim() == 2
        q, key_value, offsets = q.contiguous(), key_value.contiguous(), _of_tokens(offsets, key_value, exactly=of_tokens)
        length, queries = offsets.diff(), 0 if of_tokens else q.shape[1]
        weights_at = F.pad((length * (length if of_tokens else queries) * heads).cumsum(0), (1, 0))
        ctx.sizes = (len(length), queries, heads, q.shape[-1] // heads, int(behind))
        out, weights = torch.empty_like(q), q.new_empty(int(weights_at[-1]))
        problem = _SegmentAttention._problem(ctx.sizes, offsets, weights_at, q, key_value, out, weights)
        LIBRARY().segment_attention_forward(problem, torch.get_num_threads())
        ctx.save_for_backward(offsets, weights_at, q, key_value, weights)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (offsets, weights_at, q, key_value, weights), grad = ctx.saved_tensors, grads[0].contiguous()
        d_q, d_key_value = torch.empty_like(q), torch.empty_like(key_value)
        d_key_value[int(offsets[-1]) :] = 0
        problem = _SegmentAttention._problem(ctx.sizes, offsets, weights_at, q, key_value, None, weights)
        pointers = (one.data_ptr() for one in (grad, d_q, d_key_value))
        LIBRARY().segment_attention_backward(problem, *pointers, torch.get_num_threads())
        return d_q, d_key_value, None, None, None


class _SegmentProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, offsets: Tensor) -> Tensor:
        x, matrix, offsets = x.contiguous(), matrix.contiguous(), _of_tokens(offsets, x, exactly=True)
        y = x.new_empty(len(x), matrix.shape[2])
        problem = _Product(*matrix.shape, offsets.data_ptr(), x.data_ptr(), matrix.data_ptr())
        LIBRARY().segment_product_forward(problem, y.data_ptr(), torch.get_num_threads())
        ctx.save_for_backward(x, matrix, offsets)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, matrix, offsets), grad = ctx.saved_tensors, grads[0].contiguous()
        d_x, d_matrix = torch.empty_like(x), torch.empty_like(matrix)
        problem = _Product(*matrix.shape, offsets.data_ptr(), x.data_ptr(), matrix.data_ptr())
        pointers = (one.data_ptr() for one in (grad, d_x, d_matrix))
        LIBRARY().segment_product_backward(problem, *pointers, torch.get_num_threads())
        return d_x, d_matrix, None


def _of_tokens(offsets: Tensor, tokens: Tensor, exactly: bool) -> Tensor:
    """Contiguous offsets; compiled code would read and write what lies beyond the tokens.

    Raises:
        ValueError: they end behind the tokens, or not `exactly` where the tokens do.
    """
    end = int(offsets[-1])
    if end > len(tokens) or (exactly and end < len(tokens)):
        raise ValueError(f"offsets end at {int(offsets[-1])}, but there are {len(tokens)} tokens")
    return offsets.contiguous()


def _compiled_attention(inputs: SegmentReading) -> Tensor:
    q, key_value, segments, heads, behind = inputs
    return _SegmentAttention.apply(q, key_value, segments.offsets, heads, behind)  # type: ignore[no-any-return]


def _compiled_product(x: Tensor, matrix: Tensor, segments: Segments) -> Tensor:
    return _SegmentProduct.apply(x, matrix, segments.offsets)  # type: ignore[no-any-return]


_CPU = {"device": "cpu", "dtypes": (torch.float32,), "probe": LIBRARY.why_unavailable}
_DEFINITION = {"automatic": False, "what": "the definition in loops and float64; tests compare with it, nothing chooses it"}

register(
    "segment_attention",
    Implementation("cpu", _compiled_attention, what="an example after the other over its own tokens, nothing padded", **_CPU),
    Implementation("torch", _padded_attention, what="tokens padded to one length for `padded_attention`"),
    Implementation("reference", _literal_attention, **_DEFINITION),
    users="hyformer, interformer, longer",
)
register(
    "segment_product",
    Implementation("cpu", _compiled_product, what="an example after the other, its own tokens times its own matrix", **_CPU),
    Implementation("torch", _padded_product, what="tokens padded to one length, and one batched product"),
    Implementation("reference", _literal_product, **_DEFINITION),
    users="interformer",
)
