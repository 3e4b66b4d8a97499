"""A whole layer of HSTU (Zhai et al. 2024, arXiv:2402.17152, equations 1-3) over packed tokens x [T, D], H heads of size D / H.

    u, v, q, k = split(SiLU(LN(x) W))
    y = x + W_o dropout(u * LN(attention(q, k, v))) + b        LN without weights of its own, epsilon 1e-6

`torch` composes it of the operations that it consists of, each of which has its own implementations. `cpu` is one compiled pass
in each direction: a few segments at a time go through all of it while they are in the caches. Between the passes it keeps x, the
projection before its SiLU and what attention gives, 6 D numbers a token where the parts keep 12 D; the rest is computed
again. `triton` keeps the same on a GPU, see triton_layer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from . import dispatch, native, triton_layer
from .dispatch import Implementation, choose, register
from .dropout import draw, dropout
from .gating import gated_norm, silu_split
from .hstu_attention import AttentionPlan, LayerCache, cpu, hstu_attention, plan_attention
from .hstu_attention.plan import Activation, once_a_plan
from .layers.rotary import rotate
from .linear import linear
from .small_case import apart, first_difference, why_not
from .time_buckets import GAP_BUCKETS

EPSILON = 1e-6
"""Of both norms."""


class Layer(NamedTuple):
    """What an implementation of `hstu_layer` is given; see there."""

    x: Tensor
    uvqk: Tensor
    out: Tensor
    bias: Tensor
    plan: AttentionPlan
    heads: int
    alpha: float
    position_bias: Tensor | None
    time_bias: Tensor | None
    activation: Activation
    divisor: Tensor | float
    turn: Tensor | None
    rate: float
    clean: bool
    cache: LayerCache | None


def hstu_layer(
    x: Tensor,
    uvqk: Tensor,
    out: Tensor,
    bias: Tensor,
    plan: AttentionPlan,
    *,
    heads: int,
    alpha: float = 1.0,
    position_bias: Tensor | None = None,
    time_bias: Tensor | None = None,
    activation: Activation = "silu",
    divisor: Tensor | float = 1.0,
    turn: Tensor | None = None,
    rate: float = 0.0,
    clean: bool = True,
    cache: LayerCache | None = None,
    implementation: str | None = None,
) -> Tensor:
    """One layer.

    Args:
        x: [T, D].
        uvqk: [4 D, D], rows of u, v, q and k; [3 D, D] without a gate u.
        out: [D, D]. bias: [D].
        alpha, position_bias, time_bias, activation, divisor: as in `hstu_attention`.
        turn: of queries and keys, see `rotary.rotation`.
        rate: of dropout, in [0, 1).
        clean: the skip connection carries x, else LN(x).
        cache: keys and values of tokens that were computed before, see kv_cache.py.
        implementation: a name; None for what `dispatch` chooses.

    Returns:
        [T, D], differentiable in x, the weights, the bias and both tables.
    """
    layer = Layer(x, uvqk, out, bias, plan, heads, alpha, position_bias, time_bias, activation, divisor, turn, rate, clean, cache)
    return choose("hstu_layer", x.device, x.dtype, "torch" if _only_composed(layer) else implementation).run(layer)


def _only_composed(layer: Layer) -> bool:
    """What the whole passes leave to the parts: rotations, no gate, keys and values that are kept; in C++ mixed precision too."""
    kind = layer.x.device.type
    return (
        layer.turn is not None
        or len(layer.uvqk) != 4 * layer.x.shape[1]
        or layer.cache is not None
        or (kind == "cpu" and torch.is_autocast_enabled(kind))
        or (kind == "cuda" and not triton_layer.takes(layer.x.shape[1], layer.heads))
    )


def _composed(layer: Layer) -> Tensor:
    x, plan = layer.x, layer.plan
    normed = F.layer_norm(x, x.shape[1:], eps=EPSILON)
    *gate, v, q, k = silu_split(linear(normed, layer.uvqk), len(layer.uvqk) // x.shape[1])
    q, k, v = (one.unflatten(1, (layer.heads, -1)) for one in (q, k, v))
    if layer.turn is not None:
        q, k = rotate(q, layer.turn), rotate(k, layer.turn)
    if layer.cache is not None:
        k, v = layer.cache.with_past(k, v)
    attended = hstu_attention(
        q, k, v, plan, alpha=layer.alpha, position_bias=layer.position_bias, time_bias=layer.time_bias,
        activation=layer.activation, divisor=layer.divisor,
    ).flatten(1)  # fmt: skip
    attended = gated_norm(gate[0], attended, EPSILON) if gate else F.layer_norm(attended, attended.shape[1:], eps=EPSILON)
    if layer.rate > 0:
        attended = dropout(attended, layer.rate)
    return (x if layer.clean else normed) + linear(attended, layer.out, layer.bias)


class _Arguments(ctypes.Structure):
    """As `Layer` in hstu_layer.cpp, where the fields are explained."""

    _fields_ = [
        ("attention", cpu.Problem),
        *((name, ctypes.c_int64) for name in ("tokens", "width", "clean")),
        *((name, ctypes.c_void_p) for name in ("x", "uvqk", "weight", "bias", "y", "z", "attended")),
        ("threshold", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("grad", "d_x", "d_uvqk", "d_weight", "d_bias")),
    ]


def _declare(library: ctypes.CDLL) -> None:
    library.hstu_layer_bytes.argtypes = []
    library.hstu_layer_bytes.restype = library.hstu_layer_lanes.restype = ctypes.c_int64
    for function in (library.hstu_layer_forward, library.hstu_layer_backward):
        function.argtypes = [ctypes.POINTER(_Arguments)]
        function.restype = ctypes.c_int64
    if library.hstu_layer_bytes() != ctypes.sizeof(_Arguments):
        raise native.BuildError("hstu_layer.cpp and hstu_layer.py do not agree about the arguments")


_HERE = Path(__file__).parent

LIBRARY = native.Library(
    *(_HERE / name for name in ("hstu_layer.cpp", "hstu_layer_rows.h", "panels.h", "random_bits.h")),
    *cpu.LIBRARY.sources[1:],
    declare=_declare,
)


def _call(function: Any, arguments: _Arguments) -> None:
    if function(ctypes.byref(arguments)):
        raise MemoryError("hstu_layer=cpu: out of memory")


class _Kept(NamedTuple):
    """What lives from the forward to the backward pass, or as long as a call."""

    arguments: _Arguments
    tables: cpu.Tables
    lasting: tuple[Any, ...]
    """Of the plan, to which arguments point."""
    saved: tuple[Tensor | None, ...]
    """Normalisers of a softmax, the projection and what attention gave, to which they point too."""


def _forward(layer: Layer, keep: bool) -> tuple[Tensor, _Kept]:
    """`keep`: for a backward pass."""
    x, uvqk, out, bias = (one.detach().contiguous() for one in layer[:4])
    tokens, width = x.shape
    library, y = LIBRARY(), torch.empty_like(x)
    arguments = _Arguments(tokens=tokens, width=width, clean=layer.clean, bias=bias.data_ptr(), y=y.data_ptr(), scale=1.0)
    arguments.x, arguments.uvqk, arguments.weight = x.data_ptr(), uvqk.data_ptr(), out.data_ptr()
    geometry, inverse = cpu.prepare(layer.plan, layer.time_bias is not None), _inverse_divisor(layer)
    lse = x.new_empty(tokens, layer.heads) if layer.activation == "softmax" else None
    tables = cpu.tables_of(layer.position_bias, layer.time_bias)
    size = width // layer.heads
    arguments.attention = cpu.problem_of(geometry, (layer.heads, size, size), tables, inverse, layer.alpha, layer.activation, lse)
    kept: tuple[Tensor | None, ...] = (None, None)
    if keep:
        lanes = library.hstu_layer_lanes()
        kept = z, attended = tuple(x.new_empty(tokens, -(-n // lanes) * lanes) for n in (4 * width, width))
        arguments.z, arguments.attended = z.data_ptr(), attended.data_ptr()
    if layer.rate > 0:
        arguments.seed, arguments.threshold, arguments.scale = draw(layer.rate)
    _call(library.hstu_layer_forward, arguments)
    return y, _Kept(arguments, tables, (geometry, inverse), (lse, *kept))


def _inverse_divisor(layer: Layer) -> Tensor | None:
    """float32 [T] of SiLU weights; None for a softmax."""
    if layer.activation != "silu":
        return None
    if isinstance(layer.divisor, Tensor):
        return layer.divisor.detach().float().reciprocal().contiguous()
    return _constant(layer.plan, 1 / layer.divisor)


@once_a_plan
def _constant(plan: AttentionPlan, value: float) -> Tensor:
    """[T]; shared by the layers of a pass."""
    return torch.full((len(plan.lo),), value, device=plan.lo.device)


class _Fused(torch.autograd.Function):
    """x, uvqk, out, bias, both tables, and the rest."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        layer: Layer = inputs[-1]
        y, kept = _forward(layer, keep=True)
        # Tensors go the way of autograd, so that whoever recomputes layers instead (torch.utils.checkpoint) need not keep them.
        ctx.save_for_backward(*inputs[:6], *kept.saved)
        ctx.kept = kept._replace(saved=())
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        arguments = ctx.kept.arguments
        x, uvqk, out, _, position, time, lse, z, attended = ctx.saved_tensors
        # Weights that were let go and gathered again since then (FSDP) may lie elsewhere.
        tables = cpu.tables_of(position, time)
        cpu.point_to(arguments.attention, tables)
        arguments.z, arguments.attended = z.data_ptr(), attended.data_ptr()
        arguments.attention.lse = None if lse is None else lse.data_ptr()
        grad, x, uvqk, out = grads[0].contiguous(), x.contiguous(), uvqk.contiguous(), out.contiguous()
        arguments.grad, arguments.x, arguments.uvqk, arguments.weight = (one.data_ptr() for one in (grad, x, uvqk, out))
        arguments.attention.threads = torch.get_num_threads()
        found = tuple(torch.empty_like(one) for one in (x, uvqk, out))
        d_bias = out.new_empty(len(out))
        arguments.d_x, arguments.d_uvqk, arguments.d_weight = (one.data_ptr() for one in found)
        arguments.d_bias = d_bias.data_ptr()
        gradients = cpu.learn(arguments.attention, tables, ctx.needs_input_grad[4:6])
        _call(LIBRARY().hstu_layer_backward, arguments)
        return *found, d_bias, *cpu.gradients_like((position, time), gradients), None


def _compiled(layer: Layer) -> Tensor:
    leaves = (*layer[:4], layer.position_bias, layer.time_bias)
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in leaves):
        return _Fused.apply(*leaves, layer)  # type: ignore[no-any-return]
    return _forward(layer, keep=False)[0]


def _on_gpu(layer: Layer) -> Tensor:
    return triton_layer.layer(layer, _inverse_divisor(layer), EPSILON)


_TOLERANCE = 1e-3
"""Of the small case, relative to the norm of each output and gradient: far above rounding, far below a mistake."""


def _why_not_on_gpu() -> str | None:
    """None if the programs run here and compute on a small case what the layer's parts do in torch's operations."""
    if reason := triton_layer.why_unavailable():
        return reason
    return why_not(lambda: differs_from_parts(_on_gpu, torch.device("cuda")))


def differs_from_parts(run: Callable[[Layer], Tensor], device: torch.device) -> str | None:
    """What is wrong with `run` on a small case with windows, segments and both biases; None if nothing is."""
    generator = torch.Generator().manual_seed(0)
    tokens, width = 40, 24
    at, offsets = torch.arange(tokens), torch.tensor([0, 3, tokens])
    start = torch.repeat_interleave(offsets[:-1], offsets.diff())
    times = at * 60_000
    places = (offsets, torch.maximum(start, at - 9), torch.maximum(start, at - 1), at - start, times, times)
    plan = plan_attention(*(one.to(device) for one in places))
    shapes = ((tokens, width), (4 * width, width), (width, width), (width,), (12,), (GAP_BUCKETS,), (tokens, width))
    *drawn, grad = (torch.randn(shape, generator=generator).to(device) * 0.5 for shape in shapes)
    results = []
    parts = {part: "torch" for part in ("linear", "silu_split", "hstu_attention", "gated_norm", "dropout")}
    with dispatch.unwatched(), dispatch.forced(parts), apart(device):
        for one in (run, _composed):
            leaves = [tensor.clone().requires_grad_() for tensor in drawn]
            x, uvqk, out, bias, position, time = leaves
            layer = Layer(x, uvqk, out, bias, plan, 2, 0.5, position, time, "silu", 7.0, None, 0.0, True, None)
            y = one(layer)
            results.append([y.detach(), *torch.autograd.grad(y, leaves, grad)])
    names = ("output", "dx", "duvqk", "dout", "dbias", "dposition", "dtime")
    own, wanted = results
    return first_difference(names, own, wanted, _TOLERANCE)


register(
    "hstu_layer",
    Implementation(
        "cpu", _compiled, device="cpu", dtypes=(torch.float32,), probe=LIBRARY.why_unavailable,
        parts=("linear", "silu_split", "hstu_attention", "gated_norm", "dropout"),
        what="a whole layer, norms, projections, attention, gate, dropout and skip connection, as one pass in each direction; a "
        "few segments at a time stay in the caches",
    ),
    Implementation(
        "triton", _on_gpu, device="cuda", dtypes=(torch.float32, torch.bfloat16, torch.float16), probe=_why_not_on_gpu,
        parts=("linear", "silu_split", "hstu_attention", "gated_norm", "dropout"),
        what="the same for a GPU: two fused products around the attention, and programs over rows between the products of the "
        "backward pass; taken only where a small case gives the numbers of `torch`",
    ),
    Implementation("torch", _composed, what="composed of its parts, each with the implementation that is chosen for it"),
    users="hstu",
)  # fmt: skip
