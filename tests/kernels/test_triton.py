"""Triton's programs against the definition: on a GPU where there is one, else in Triton's interpreter (see conftest.py), small
shapes."""

from __future__ import annotations

import dataclasses
import importlib.util
import os

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.kernels import dispatch
from rankbench.kernels.hstu_attention import AttentionPlan, plan_attention, torch_blocks, triton
from rankbench.kernels.hstu_attention.borders import key_borders
from rankbench.kernels.hstu_attention.plan import Inputs
from rankbench.kernels.hstu_attention.triton import blocks, check, function
from rankbench.kernels.time_buckets import GAP_BUCKETS, borders, time_buckets

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
REASON = None if importlib.util.find_spec("triton") else "triton is not installed"
pytestmark = [pytest.mark.long, pytest.mark.skipif(REASON is not None, reason=f"{REASON}: make triton installs it")]


def plan_of(lengths: list[int], window: int, seed: int = 0, two_way: bool = False) -> AttentionPlan:
    """Ties, windows, tokens that see nothing, gaps on the very borders of buckets; two_way: everything of the segment."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths])
    exact = borders().numpy()
    lo, hi, position, time = [], [], [], []
    for begin, n in zip(offsets[:-1], lengths, strict=True):
        now, edge = 10**12, 0
        for i in range(n):
            if i == 0 or rng.random() > 0.3:
                edge, now = i, now + int(exact[rng.integers(len(exact))]) - int(rng.integers(2))
            lo.append(begin if two_way else begin + max(0, edge - window))
            hi.append(begin + n if two_way else begin + edge)
            position.append(0 if two_way else edge)
            time.append(now)
    to = lambda values: torch.tensor(np.asarray(values, dtype=np.int64), device=DEVICE)  # noqa: E731
    return plan_attention(to(offsets), to(lo), to(hi), to(position), to(time), to(time))


def results(
    run: object, plan: AttentionPlan, dtype: torch.dtype, activation: str, tables: str, sizes: tuple[int, int, int], alpha: float,
    rows: int = 9,
) -> list[Tensor]:  # fmt: skip
    """Output and the gradients of q, k, v and the tables; the same numbers for every dtype."""
    heads, size, value = sizes
    tokens, generator = len(plan.lo), torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16).to(DEVICE, dtype).requires_grad_()

    q, k, v = draw(tokens, heads, size), draw(tokens, heads, size), draw(tokens, heads, value)
    of_head = (heads,) if "heads" in tables else ()
    position = draw(rows, *of_head) if "position" in tables or "both" in tables else None
    time = draw(GAP_BUCKETS, *of_head) if "time" in tables or "both" in tables else None
    divisor = (plan.hi - plan.lo + 1).to(dtype)
    out = run(Inputs(q, k, v, plan, alpha, position, time, activation, divisor))  # type: ignore[operator, arg-type]
    grad = torch.randn(out.shape, generator=generator).to(torch.bfloat16).to(DEVICE, dtype)
    leaves = [one for one in (q, k, v, position, time) if one is not None]
    return [one.detach().double() for one in (out, *torch.autograd.grad(out, leaves, grad))]


def assert_near(
    plan: AttentionPlan, dtype: torch.dtype, activation: str, tables: str, sizes: tuple[int, int, int], alpha: float = 0.4,
    rows: int = 9,
) -> None:  # fmt: skip
    found = results(triton.attention, plan, dtype, activation, tables, sizes, alpha, rows)
    fresh = dataclasses.replace(plan)
    expected = results(torch_blocks.attention, fresh, torch.float64, activation, tables, sizes, alpha, rows)
    largest = max(float(one.norm()) for one in expected)
    relative = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}[dtype]
    for one, two in zip(found, expected, strict=True):
        assert one.shape == two.shape and torch.isfinite(one).all()
        assert (one - two).norm() <= relative * max(float(two.norm()), 0.01 * largest)


@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("tables", ["none", "position", "time", "both", "both of heads"])
@pytest.mark.parametrize("lengths", [[1], [2, 0, 7], [63, 1, 65]], ids=["one", "empty-segment", "odd"])
def test_equals_the_definition(lengths: list[int], tables: str, activation: str) -> None:
    assert_near(plan_of(lengths, window=10), torch.float32, activation, tables, (2, 5, 3))


@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("tables", ["time", "both", "both of heads"])
def test_own_keys_at_time_gaps_of_their_own(tables: str, activation: str) -> None:
    plan = plan_of([33, 1, 20], window=10)
    assert plan.query_time is not None
    gap = torch.arange(54, device=DEVICE) ** 5 * 100
    assert_near(dataclasses.replace(plan, own_time=plan.query_time - gap), torch.float32, activation, tables, (2, 5, 3))


@pytest.mark.parametrize("tied", [False, True], ids=["diagonals", "ties"])
@pytest.mark.parametrize("rows", [9, 40, 90])
def test_positions_beyond_the_table_and_within(rows: int, tied: bool) -> None:
    """Tiles within the table, across its end and beyond it, on diagonals and not; one sum a place where that is asked for."""
    at = torch.arange(80, device=DEVICE)
    edge = at // 3 * 3 if tied else at
    plan = plan_attention(torch.tensor([0, 80], device=DEVICE), torch.zeros_like(at), edge, edge)
    assert_near(plan, torch.float32, "silu", "position", (1, 4, 4), rows=rows)
    torch.use_deterministic_algorithms(True)
    try:
        assert_near(plan, torch.float32, "silu", "position", (1, 4, 4), rows=rows)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("alpha", [0.003, 30.0, 3000.0])
def test_logits_of_any_size(alpha: float) -> None:
    assert_near(plan_of([33, 1, 20], window=10), torch.float32, "silu", "both", (2, 5, 3), alpha)


@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_wide_heads_of_odd_sizes(activation: str) -> None:
    assert_near(plan_of([40, 30], window=50), torch.float32, activation, "both", (1, 72, 65))


INTERPRETER_LACKS_IT = pytest.mark.skipif(
    DEVICE.type == "cpu", reason="Triton's interpreter multiplies matrices of bfloat16 as if their bits were whole numbers"
)


@pytest.mark.parametrize("dtype", [pytest.param(torch.bfloat16, marks=INTERPRETER_LACKS_IT), torch.float16])
@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("size", [16, 64, 128])
@pytest.mark.parametrize("card", [80, 90])
def test_half_precision(card: int, size: int, activation: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tiles of both kinds of cards, more than one of them a segment."""
    monkeypatch.setattr(function, "capability", lambda device: card)
    assert_near(plan_of([140, 9], window=100), dtype, activation, "both", (1, size, size))


def test_the_check_of_a_small_case_passes_and_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = check.CASES if DEVICE.type == "cuda" else ((torch.float32, "silu"), (torch.float16, "softmax"))
    with torch.inference_mode():  # as who scores asks first
        assert check.differs(DEVICE, cases) is None
    steeper = lambda inputs: torch_blocks.attention(inputs._replace(time_bias=inputs.time_bias * 1.2))  # noqa: E731
    monkeypatch.setattr(check, "attention", steeper)
    assert "it computes something else: relative error" in str(check.differs(DEVICE, cases))


@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_tokens_may_see_what_follows_and_themselves_once(activation: str) -> None:
    assert_near(plan_of([70, 0, 3], window=0, two_way=True), torch.float32, activation, "none", (2, 4, 4))


def test_candidates_far_from_what_they_see() -> None:
    """First what is seen, then many that see all of it: blocks of queries and keys meet far from the diagonal."""
    at = torch.arange(300, device=DEVICE)
    edge = at.clamp(max=100)
    plan = plan_attention(torch.tensor([0, 300], device=DEVICE), torch.zeros_like(at), edge, edge)
    assert_near(plan, torch.float32, "silu", "position", (1, 4, 4))


def test_nothing_to_do() -> None:
    empty = torch.zeros(0, 2, 4, device=DEVICE)
    nothing = torch.zeros(0, dtype=torch.int64, device=DEVICE)
    plan = plan_attention(torch.zeros(1, dtype=torch.int64, device=DEVICE), nothing, nothing, nothing)
    assert triton.attention(Inputs(empty, empty, empty, plan, 1.0, None, None, "silu", 1.0)).shape == (0, 2, 4)


@pytest.mark.parametrize("two_way", [False, True])
def test_blocks_cover_every_pair_and_little_more(two_way: bool) -> None:
    plan, size, wide = plan_of([30, 0, 50, 7], window=9, two_way=two_way), 16, 32
    asking, asked = blocks.queries(plan, size), blocks.keys(plan, wide, size)
    rows_of = lambda spans: {x: at for at, (a, b) in enumerate(zip(spans.begin, spans.end, strict=True)) for x in range(a, b)}  # noqa: E731
    by_query, by_key = rows_of(asking), rows_of(asked)
    assert sorted(by_query) == sorted(by_key) == list(range(len(plan.lo)))
    for i in range(len(plan.lo)):
        at = by_query[i]
        assert asking.begin[at] <= i < asking.end[at]
        for j in range(len(plan.lo)):
            seen = bool(plan.lo[i] <= j < plan.hi[i])
            assert not seen or asking.first[at] <= j < asking.last[at]
            assert not seen or asked.first[by_key[j]] <= at < asked.last[by_key[j]]
            assert seen or not asking.whole_from[at] <= j < asking.whole_to[at]
    if not two_way:
        assert int((asking.last - asking.first).max()) <= size + 9


def test_borders_part_the_keys_of_each_time_bucket() -> None:
    plan = plan_of([30, 0, 50, 7], window=20)
    edges, of_blocks = key_borders(plan), blocks.queries(plan, 16)
    assert edges is not None and plan.query_time is not None and plan.key_time is not None
    for at, (begin, end) in enumerate(zip(of_blocks.begin.tolist(), of_blocks.end.tolist(), strict=True)):
        for i in range(begin, end):
            for j in range(int(plan.lo[i]), int(plan.hi[i])):
                bucket = int(time_buckets(plan.query_time[i] - plan.key_time[j]))
                assert int((j < edges[:, i]).sum()) == bucket
                assert int((j < of_blocks.near[at]).sum()) <= bucket <= int((j < of_blocks.far[at]).sum())


def test_it_is_for_gpus_alone() -> None:
    one = dispatch.find("hstu_attention", "triton")
    assert one.refusal(torch.device("cpu")) == "it runs on cuda alone, not on cpu"
    assert one.refusal(torch.device("cuda"), torch.float64) == "it does not take float64"


COMPILED = [
    *((dtype, size, softmax, False) for dtype in ("fp32", "bf16") for size in (32, 64, 128) for softmax in (False, True)),
    *(("bf16", size, False, True) for size in (64, 128)),
    ("fp32", 64, False, True),
    ("fp16", 64, False, False),
]


@pytest.mark.slow
@pytest.mark.parametrize("card", [80, 90])
@pytest.mark.parametrize(("dtype", "size", "softmax", "deterministic"), COMPILED)
def test_programs_compile_for_a_gpu_and_fit_it(dtype: str, size: int, softmax: bool, card: int, deterministic: bool) -> None:
    """No GPU is needed: registers, shared memory and types are the compiler's business. In a process without the interpreter.

    What does not fit the registers goes through memory for every pair: that once made an H200 ten times slower."""
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).resolve().parents[1] / "support" / "compile_triton.py"
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, str(script), *map(str, (card, dtype, size, softmax, deterministic))],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    programs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(programs) == 3
    for shared, beyond_registers in programs:
        assert shared <= {80: 166_912, 90: 232_448}[card], "what the card has for a block of threads"
        assert beyond_registers <= 128, "bytes a thread"
