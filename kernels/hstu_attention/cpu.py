"""Fused C++ for CPUs (fused.cpp): logits, weights and their gradients never leave the cache.

Float32 inside; bfloat16 and float16 are converted on the way in and out. The forward pass saves its inputs alone, and of a
softmax each row's normaliser; the backward pass computes logits again. Time buckets of the visible pairs are one byte each,
found once a batch and shared by all layers. Results do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..native import BuildError, Library
from ..time_buckets import borders
from .plan import AttentionPlan, Inputs, once_a_plan, own_buckets

_ACTIVATIONS = {"silu": 0, "softmax": 1, "bias alone": 2}

_AIR = 64
"""Bytes before and behind the buckets, for vectors that hang over."""


class _Tokens(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("row", ctypes.c_int64), ("head", ctypes.c_int64)]


class _BiasTable(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("values", "gradient")),
        *((name, ctypes.c_int64) for name in ("heads", "rows")),
    ]


class Problem(ctypes.Structure):
    """As in fused_problem.h, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("segments", "heads", "size", "value_size", "activation", "threads")),
        ("alpha", ctypes.c_double),
        *(
            (name, ctypes.c_void_p)
            for name in ("offsets", "lo", "hi", "position", "bucket", "bucket_offset", "own_bucket", "inverse")
        ),
        *((name, _Tokens) for name in ("q", "k", "v", "out")),
        ("lse", ctypes.c_void_p),
        *((name, _BiasTable) for name in ("position_bias", "time_bias")),
        *((name, _Tokens) for name in ("grad", "dq", "dk", "dv")),
    ]


def _declare(library: ctypes.CDLL) -> None:
    library.rankbench_problem_bytes.argtypes = []
    library.rankbench_problem_bytes.restype = ctypes.c_int64
    for function in (library.rankbench_forward, library.rankbench_backward):
        function.argtypes = [ctypes.POINTER(Problem)]
        function.restype = ctypes.c_int64
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.rankbench_buckets.argtypes = [number, *(pointer,) * 5, number, *(pointer,) * 2, number]
    library.rankbench_buckets.restype = None
    if library.rankbench_problem_bytes() != ctypes.sizeof(Problem):
        raise BuildError("fused.cpp and cpu.py do not agree about the arguments")


_HERE = Path(__file__).parent

LIBRARY = Library(
    *(
        _HERE / name
        for name in ("fused.cpp", "fused_passes.h", "fused_worker.h", "fused_problem.h", "fused_bias.h", "fused_tables.h")
    ),
    _HERE.parent / "simd.h",
    declare=_declare,
)


class PlanArrays(NamedTuple):
    """A plan as the library reads it."""

    offsets: Tensor
    lo: Tensor
    hi: Tensor
    position: Tensor
    bucket: Tensor | None
    bucket_offset: Tensor | None
    own_bucket: Tensor | None


@once_a_plan
def prepare(plan: AttentionPlan, timed: bool) -> PlanArrays:
    """`timed`: with time buckets of the visible pairs."""
    offsets, lo, hi, position = (x.contiguous() for x in (plan.offsets, plan.lo, plan.hi, plan.position))
    ends = offsets[[0, -1]].tolist()
    if ends != [0, len(lo)]:
        raise ValueError(f"segments cover tokens {ends[0]} to {ends[1]}, but there are {len(lo)}")
    bucket = bucket_offset = own_bucket = None
    if timed:
        assert plan.query_time is not None and plan.key_time is not None
        pairs = F.pad((hi - lo).clamp(min=0).cumsum(0), (1, 0))
        bucket = torch.zeros(int(pairs[-1]) + 2 * _AIR, dtype=torch.uint8)
        bucket_offset = pairs[:-1] + _AIR
        query_time, key_time, border = plan.query_time.contiguous(), plan.key_time.contiguous(), borders()
        LIBRARY().rankbench_buckets(
            len(lo), *_pointers(lo, hi, query_time, key_time, border), len(border), *_pointers(bucket_offset, bucket),
            torch.get_num_threads(),
        )  # fmt: skip
        own_bucket = None if (own := own_buckets(plan)) is None else own.to(torch.uint8).contiguous()
    return PlanArrays(offsets, lo, hi, position, bucket, bucket_offset, own_bucket)


def _pointers(*tensors: Tensor | None) -> tuple[int | None, ...]:
    return tuple(None if x is None else x.data_ptr() for x in tensors)


def _tokens(x: Tensor) -> _Tokens:
    return _Tokens(x.data_ptr(), x.stride(0), x.stride(1))


def _readable(x: Tensor) -> Tensor:
    """Float32; heads may be views into the rows of one projection, but the numbers of a head lie side by side."""
    x = x.detach().float()
    return x if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous()


class Tables(NamedTuple):
    """Both bias tables as the library reads them, float32 [heads or 1, rows]; None where there is none."""

    position: Tensor | None
    time: Tensor | None


def tables_of(position: Tensor | None, time: Tensor | None) -> Tables:
    """From [rows] or [rows, heads]."""
    return Tables(*(None if one is None else _by_head(one) for one in (position, time)))


def _by_head(table: Tensor) -> Tensor:
    return (table.detach().float().t() if table.dim() == 2 else table.detach().float().unsqueeze(0)).contiguous()


def gradients_like(tables: tuple[Tensor | None, Tensor | None], gradients: Tables) -> tuple[Tensor | None, Tensor | None]:
    """[heads or 1, rows] -> shapes and dtypes of the bias tables."""
    position, time = (
        None if table is None or one is None else (one.squeeze(0) if table.dim() == 1 else one.t()).to(table.dtype)
        for table, one in zip(tables, gradients, strict=True)
    )
    return position, time


def _call(function: Callable[..., int], problem: Problem) -> None:
    if function(ctypes.byref(problem)):
        raise MemoryError("hstu_attention=cpu: out of memory")


class _Fused(torch.autograd.Function):
    """q, k [T, H, D] (None: bias alone), v [T, H, Dv], tables, inverse divisor [T] or None."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor | None,
        k: Tensor | None,
        v: Tensor,
        position: Tensor | None,
        time: Tensor | None,
        inverse: Tensor | None,
        plan: AttentionPlan,
        alpha: float,
        activation: str,
    ) -> Tensor:
        geometry = prepare(plan, time is not None)
        out = torch.empty(v.shape, dtype=torch.float32)
        lse = torch.empty(v.shape[:2], dtype=torch.float32) if activation == "softmax" else None
        tables = tables_of(position, time)
        keep: list[Any] = []
        problem = _problem(geometry, q, k, v, tables, inverse, alpha, activation, lse, keep)
        problem.out = _tokens(out)
        _call(LIBRARY().rankbench_forward, problem)
        ctx.save_for_backward(q, k, v, position, time, inverse, lse)
        ctx.geometry, ctx.alpha, ctx.activation = geometry, alpha, activation
        return out.to(v.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, position, time, inverse, lse = ctx.saved_tensors
        tables = tables_of(position, time)
        keep: list[Any] = []
        problem = _problem(ctx.geometry, q, k, v, tables, inverse, ctx.alpha, ctx.activation, lse, keep)
        grad = _readable(grads[0])
        problem.grad = _tokens(grad)
        dv = torch.empty(v.shape, dtype=torch.float32)
        problem.dv = _tokens(dv)
        dq = dk = None
        if q is not None:
            dq, dk = (torch.empty(q.shape, dtype=torch.float32) for _ in range(2))
            problem.dq, problem.dk = _tokens(dq), _tokens(dk)
        gradients = learn(problem, tables, ctx.needs_input_grad[3:5])
        _call(LIBRARY().rankbench_backward, problem)
        d_position, d_time = gradients_like((position, time), gradients)
        if q is not None and k is not None and dq is not None and dk is not None:
            dq, dk = dq.to(q.dtype), dk.to(k.dtype)
        return dq, dk, dv.to(v.dtype), d_position, d_time, None, None, None, None


def _problem(
    geometry: PlanArrays,
    q: Tensor | None,
    k: Tensor | None,
    v: Tensor,
    tables: Tables,
    inverse: Tensor | None,
    alpha: float,
    activation: str,
    lse: Tensor | None,
    keep: list[Any],
) -> Problem:
    """Arguments that both passes share. `keep` gets what must live as long as the call."""
    problem = problem_of(
        geometry, (v.shape[1], 0 if q is None else q.shape[2], v.shape[2]), tables, inverse, alpha, activation, lse
    )
    for name, rows in (("q", q), ("k", k), ("v", v)):
        if rows is not None:
            keep.append(rows := _readable(rows))
            setattr(problem, name, _tokens(rows))
    return problem


def problem_of(
    geometry: PlanArrays,
    sizes: tuple[int, int, int],
    tables: Tables,
    inverse: Tensor | None,
    alpha: float,
    activation: str,
    lse: Tensor | None,
) -> Problem:
    """All arguments but queries, keys, values and what becomes of them; `sizes`: heads, numbers of a key and of a value."""
    problem = Problem()
    problem.segments = len(geometry.offsets) - 1
    problem.heads, problem.size, problem.value_size = sizes
    problem.activation, problem.threads, problem.alpha = _ACTIVATIONS[activation], torch.get_num_threads(), alpha
    for name, tensor in geometry._asdict().items():
        setattr(problem, name, None if tensor is None else tensor.data_ptr())
    problem.inverse, problem.lse = _pointers(inverse, lse)
    point_to(problem, tables)
    return problem


def point_to(problem: Problem, tables: Tables) -> None:
    """Let a problem read its biases from these tables."""
    for into, table in ((problem.position_bias, tables.position), (problem.time_bias, tables.time)):
        if table is not None:
            into.values, into.heads, into.rows = table.data_ptr(), *table.shape


def learn(problem: Problem, tables: Tables, wanted: tuple[bool, bool]) -> Tables:
    """Where a backward pass leaves the gradients of the tables that are wanted."""
    gradients = Tables(
        *(torch.empty_like(one) if one is not None and want else None for one, want in zip(tables, wanted, strict=True))
    )
    problem.position_bias.gradient, problem.time_bias.gradient = _pointers(*gradients)
    return gradients


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, activation, _ = inputs
    return _Fused.apply(q, k, v, position_bias, time_bias, inputs.inverse_divisor(), plan, alpha, activation)


def bias_mixing(v: Tensor, plan: AttentionPlan, position_table: Tensor | None, time_table: Tensor | None) -> Tensor:
    """See `interface.bias_mixing`."""
    return _Fused.apply(None, None, v, position_table, time_table, None, plan, 1.0, "bias alone")
