"""The activation unit for GPUs (programs.py): one program in each direction, around products of the vendor's library.

On the way forward nothing but the weights is written. The backward pass computes the layers again, writes their gradients once,
and leaves gradients of weights to products over all events, and those of queries and tables to sums by row. In mixed precision
factors and what is written for products are in the smaller type, sums in float32.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import dispatch
from ..small_case import apart, first_difference, why_not
from ..started import start
from . import parts
from .events import Events, Layers, by_tables

WARPS = 8


class Tile(NamedTuple):
    """What a program holds at once."""

    events: int
    inputs: int
    """Of the first layer."""


_HALF, _SINGLE = Tile(64, 32), Tile(32, 16)
"""bf16 and fp16; fp32, whose factors are two parts each. The largest of those tried that the compiler fits into the registers
(`tests/support/compile_triton_unit.py`); none was timed."""
_TOLERANCE = 1e-2
"""Of the small case, relative to the norm of each result: TF32 rounds to 1e-3."""


@functools.cache
def _programs() -> ModuleType | str:
    try:
        from . import programs
    except ImportError as error:
        return f"triton is not installed ({error.name or error})"
    return programs


def why_unavailable() -> str | None:
    """None if the programs can run here and give the numbers of torch's parts on a small case."""
    programs = _programs()
    if isinstance(programs, str):
        return programs
    if not torch.cuda.is_available():
        return "this torch sees no NVIDIA GPU"
    return why_not(lambda: differs_from_parts(torch.device("cuda")))


class _Inputs(NamedTuple):
    """What both programs read, contiguous; weights and tables in the type of products."""

    query: Tensor
    key: Tensor
    start: Tensor
    added: Tensor
    ids: Tensor
    example_of: Tensor
    event: Tensor
    interaction: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor

    @property
    def tile(self) -> Tile:
        return _SINGLE if self.event.dtype == torch.float32 else _HALF

    @property
    def blocks(self) -> int:
        """Programs that share the events."""
        return -(-len(self.key) // self.tile.events)

    def run(self, name: str, **given: Any) -> None:
        programs, (events, size) = _programs(), self.key.shape
        assert not isinstance(programs, str)
        sizes = fixed(size, len(self.event), len(self.hidden_bias), self.ids.shape[1], self.tile)
        precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
        own = {**self._asdict(), **given, **sizes, "T": events, "n": len(self.query), "PRECISION": precision}
        start(getattr(programs, name), (self.blocks,), own, num_warps=WARPS)


def fixed(size: int, first: int, second: int, tables: int, tile: Tile) -> dict[str, int]:
    """What a program is compiled for: numbers of a key and of both layers (0: one layer), and tables that are added."""
    return {
        "Q": size, "A": tables, "H1": first, "H2": second, "BH": _padded(first), "BG": _padded(second), "BK": tile.inputs,
        "BT": tile.events,
    }  # fmt: skip


def _padded(width: int) -> int:
    """A power of two that a product takes."""
    return max(16, 1 << max(width - 1, 0).bit_length())


class _Unit(torch.autograd.Function):
    """query [n, Q], key [T, Q], start [n, H1], added [V, H1], then the weights: event and interaction [H1, Q] each, hidden
    [H2, H1] and its bias (of no rows with one hidden layer), out [1, last] and its bias."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, example_of: Tensor, *leaves: Tensor) -> Tensor:
        query, key, start, added, *weights, bias = leaves
        dtype = start.dtype
        query, key, start = (one.contiguous() for one in (query, key, start))
        added, *weights = (one.to(dtype).contiguous() for one in (added, *weights))
        inputs = _Inputs(query, key, start, added, ids, example_of, *weights)
        result = start.new_empty(len(key))
        inputs.run("forward", out_bias=bias, weight=result)
        ctx.save_for_backward(*inputs)
        ctx.dtypes = [one.dtype for one in leaves]
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs = _Inputs(*ctx.saved_tensors)
        (events, size), (first, second), dtype = inputs.key.shape, inputs.hidden.shape[::-1], inputs.start.dtype
        grad, new = grads[0].contiguous(), functools.partial(inputs.key.new_empty, dtype=dtype)
        d_first, d_second, kept = new(events, first), new(events, second), new(events if second else 0, first)
        product, d_key, d_product = new(events, size), torch.empty_like(inputs.key), torch.empty_like(inputs.key)
        d_out = inputs.key.new_empty(inputs.blocks, inputs.out.shape[1], dtype=torch.float32)
        inputs.run(
            "backward", d_weight=grad, d_first=d_first, d_second=d_second, kept=kept, product=product, d_key=d_key,
            d_product=d_product, d_out=d_out,
        )  # fmt: skip
        by_example = functools.partial(_sums, at=inputs.example_of, rows=len(inputs.query))
        d_added = torch.zeros(len(inputs.added), first, dtype=torch.float32, device=grad.device)
        for slot in inputs.ids.unbind(1):
            d_added.index_add_(0, slot, d_first.float())
        found = (
            by_example(d_product),
            d_key,
            by_example(d_first),
            d_added,
            d_first.t() @ inputs.key.to(dtype),
            d_first.t() @ product,
            d_second.t() @ kept if second else torch.zeros_like(inputs.hidden),
            d_second.sum(0, dtype=torch.float32),
            d_out.sum(0, keepdim=True),
            grad.sum(0, keepdim=True, dtype=torch.float32),
        )
        return (None, None, *(one.to(dtype) for one, dtype in zip(found, ctx.dtypes, strict=True)))


def _sums(values: Tensor, at: Tensor, rows: int) -> Tensor:
    """float32 [rows, width]: values [T, width] added up by row."""
    result = torch.zeros(rows, values.shape[1], dtype=torch.float32, device=values.device)
    return result.index_add_(0, at, values.float())


def unit(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    """See `activation_unit`."""
    if len(events.key) == 0:
        return parts.unit(query, events, offsets, start, layers)
    size = events.key.shape[1]
    event, tables, ids = by_tables(events, layers.event)
    # All tables as one, whose rows count on.
    begins, total = [], 0
    for table in tables:
        begins.append(total)
        total += len(table)
    added = torch.cat(tables) if tables else event.new_zeros(0, len(event))
    rows = (
        torch.stack([one + begin for one, begin in zip(ids, begins, strict=True)], 1)
        if ids
        else offsets.new_zeros(len(events.key), 0)
    )
    hidden = event.new_zeros(0, len(event)) if layers.hidden is None else layers.hidden
    bias = event.new_zeros(0) if layers.hidden_bias is None else layers.hidden_bias
    weights = (event[:, :size], event[:, size:], hidden, bias, layers.out, layers.out_bias)
    example_of = parts.rows_of(offsets, len(events.key))
    return _Unit.apply(rows, example_of, query, events.key, start, added, *weights)  # type: ignore[no-any-return]


def differs_from_parts(device: torch.device) -> str | None:
    """What is wrong with `unit` on a small case; None if nothing is."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.5).to(device)

    offsets = torch.tensor([0, 3, 3, 90]).to(device)
    ids = torch.randint(5, (90,), generator=generator).to(device)
    leaves = [
        drawn(3, 24), drawn(90, 24), drawn(3, 40), drawn(5, 8), drawn(40, 56), drawn(20, 40), drawn(20), drawn(1, 20), drawn(1)
    ]  # fmt: skip
    grad, results = drawn(90), []
    with dispatch.unwatched(), apart(device):
        for run in (unit, parts.unit):
            query, key, start, table, *weights = own = [leaf.clone().requires_grad_() for leaf in leaves]
            weight = run(query, Events(key, [[(table, ids)]]), offsets, start, Layers(*weights))
            results.append([weight.detach(), *torch.autograd.grad(weight, own, grad)])
    names = ("weights", "dquery", "dkey", "dstart", "dtable", "devent", "dhidden", "dbias", "dout", "dout_bias")
    own, wanted = results
    return first_difference(names, own, wanted, _TOLERANCE)
