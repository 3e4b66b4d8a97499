"""The layer for autograd: what the programs are given, and the products of the backward pass."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from ..hstu_attention import AttentionPlan
from ..hstu_attention import triton as attention
from ..started import start

if TYPE_CHECKING:
    from ..hstu_layer import Layer

Product = Literal["project", "output"]
Rows = Literal["moments", "normalise", "split", "gate_backward", "silu_backward", "norm_backward"]

WIDEST = 4096
"""A program over rows holds a whole one."""


class Tile(NamedTuple):
    """Rows by columns of a product, how many inputs at a time, and the warps that share them."""

    rows: int
    columns: int
    inputs: int
    warps: int


def product_tile(dtype: torch.dtype) -> Tile:
    """Of factors of a type; none was timed."""
    return Tile(64, 64, 32, 4) if dtype == torch.float32 else Tile(128, 128, 32, 8)


@functools.cache
def _programs() -> tuple[ModuleType, ModuleType] | str:
    try:
        from . import products, rows
    except ImportError as error:
        return f"triton is not installed ({error.name or error})"
    return products, rows


def why_unavailable() -> str | None:
    """None if the programs can run here."""
    programs = _programs()
    return programs if isinstance(programs, str) else attention.why_unavailable()


def _product(name: Product, tokens: int, columns: int, **given: Any) -> None:
    programs, weight = _programs(), given["weight"]
    assert not isinstance(programs, str)
    size = product_tile(weight.dtype)
    precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
    of_size = {"BM": size.rows, "BN": size.columns, "BK": size.inputs, "PRECISION": precision}
    grid = (-(-columns // size.columns), -(-tokens // size.rows))
    given = {**given, **of_size, "T": tokens, "D": weight.shape[1]}
    start(getattr(programs[0], name), grid, given, num_warps=size.warps)


def rows_at_once(width: int) -> int:
    """Rows of a program: about 2,048 numbers."""
    return max(1, 2048 // padded(width))


def takes(width: int, heads: int) -> bool:
    """Whether a layer is narrow enough, and its heads are."""
    return width <= WIDEST and width // heads <= attention.WIDEST_HEAD


def padded(width: int) -> int:
    """A power of two."""
    return max(16, 1 << (width - 1).bit_length())


def _rows(name: Rows, tokens: int, width: int, parts: int = 1, **given: Any) -> None:
    programs, rows = _programs(), rows_at_once(width)
    assert not isinstance(programs, str)
    given = {**given, "T": tokens, "D": width, "BD": padded(width), "ROWS": rows}
    start(getattr(programs[1], name), (-(-tokens // rows), parts), given, num_warps=4 if width <= 1024 else 8)


class Norm(NamedTuple):
    """float32 [T] each: of the rows of a tensor, see `rows.moments`."""

    mean: Tensor
    scale: Tensor


def _moments(x: Tensor, epsilon: float) -> Norm:
    norm = Norm(*(torch.empty(len(x), dtype=torch.float32, device=x.device) for _ in range(2)))
    _rows("moments", *x.shape, x=x, mean=norm.mean, scale=norm.scale, epsilon=epsilon)
    return norm


class _Options(NamedTuple):
    """What is no tensor of the layer's own."""

    plan: AttentionPlan
    heads: int
    alpha: float
    rate: float
    clean: bool
    epsilon: float
    dtype: torch.dtype
    """Of products, of what is kept and of attention."""


class _Layer(torch.autograd.Function):
    """x [T, D], weights [4 D, D] and [D, D], bias [D], tables, inverse divisor [T] or None (softmax)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        uvqk: Tensor,
        out: Tensor,
        bias: Tensor,
        position: Tensor | None,
        time: Tensor | None,
        inverse: Tensor | None,
        options: _Options,
        keep: bool,
    ) -> Tensor:
        (tokens, width), x = x.shape, x.contiguous()
        weights = [one.to(options.dtype).contiguous() for one in (uvqk, out)]
        of_x = _moments(x, options.epsilon)
        z = x.new_empty(tokens if keep else 0, 4 * width, dtype=options.dtype)
        parts = x.new_empty(4, tokens, width, dtype=options.dtype)
        _product(
            "project", tokens, 4 * width, x=x, mean=of_x.mean, scale=of_x.scale, weight=weights[0], z=z, parts=parts,
            N=4 * width, KEEP=keep,
        )  # fmt: skip
        u, (v, q, k) = parts[0], (one.view(tokens, options.heads, -1) for one in parts[1:])
        attended, lse = attention.forward_pass(q, k, v, position, time, inverse, options.plan, options.alpha)
        of_attended = _moments(attended.view(tokens, width), options.epsilon)
        # On the device, so that a recorded step draws anew each time.
        seed = torch.randint(2**31 - 1, (1,), device=x.device) if options.rate > 0 else None
        y = torch.empty_like(x)
        _product(
            "output", tokens, width, gate=u, attended=attended, a_mean=of_attended.mean, a_scale=of_attended.scale, x=x,
            x_mean=of_x.mean, x_scale=of_x.scale, weight=weights[1], bias=bias.contiguous(), y=y, seed=seed,
            rate=options.rate, DROPOUT=seed is not None, CLEAN=options.clean,
        )  # fmt: skip
        if keep:
            ctx.save_for_backward(
                x, uvqk, out, bias, position, time, inverse, z, attended, lse, seed, *of_x, *of_attended
            )  # fmt: skip
            ctx.options = options
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, uvqk, out, bias, position, time, inverse, z, attended, lse, seed, *moments = ctx.saved_tensors
        options, of_x, of_attended = ctx.options, Norm(*moments[:2]), Norm(*moments[2:])
        (tokens, width), dtype, grad = x.shape, options.dtype, grads[0].contiguous()
        small, new = grad.to(dtype), functools.partial(x.new_empty, dtype=dtype)
        gated, du, d_attended = (new(tokens, width) for _ in range(3))
        _rows(
            "gate_backward", tokens, width, d_gated=small @ out.to(dtype), z=z, attended=attended, mean=of_attended.mean,
            scale=of_attended.scale, seed=seed, gated=gated, d_gate=du, d_attended=d_attended, rate=options.rate,
            DROPOUT=seed is not None,
        )  # fmt: skip
        d_out, vqk = small.t() @ gated, new(3, tokens, width)
        _rows("split", tokens, width, 3, z=z, vqk=vqk)
        v, q, k = (one.view(tokens, options.heads, -1) for one in vqk)
        found = attention.backward_pass(
            d_attended.view_as(v), q, k, v, attended, lse, position, time, inverse, options.plan, options.alpha
        )
        dz = torch.empty_like(z)
        _rows("silu_backward", tokens, width, 4, z=z, du=du, dv=found.v, dq=found.q, dk=found.k, dz=dz)
        normed, dx = new(tokens, width), torch.empty_like(x)
        _rows("normalise", tokens, width, x=x, mean=of_x.mean, scale=of_x.scale, normed=normed)
        _rows(
            "norm_backward", tokens, width, d_normed=dz @ uvqk.to(dtype), grad=grad, x=x, mean=of_x.mean, scale=of_x.scale,
            dx=dx, CLEAN=options.clean,
        )  # fmt: skip
        d_uvqk, d_bias = (dz.t() @ normed).to(uvqk.dtype), grad.sum(0, dtype=torch.float32).to(bias.dtype)
        return dx, d_uvqk, d_out.to(out.dtype), d_bias, found.position, found.time, None, None, None


def layer(given: Layer, inverse: Tensor | None, epsilon: float) -> Tensor:
    """See `hstu_layer`; `inverse` as in `hstu_attention.triton.forward_pass`."""
    if len(given.x) == 0:
        return given.x.clone()
    kind = given.x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else given.x.dtype
    options = _Options(given.plan, given.heads, given.alpha, given.rate, given.clean, epsilon, dtype)
    tables = [None if table is None else table.contiguous() for table in (given.position_bias, given.time_bias)]
    leaves = (*given[:4], *tables)
    keep = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in leaves)
    return _Layer.apply(*leaves, inverse, options, keep)  # type: ignore[no-any-return]
