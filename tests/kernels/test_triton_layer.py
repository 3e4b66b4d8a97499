"""The layer's programs for GPUs against the equations in float64: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rankbench.kernels import hstu_layer as module
from rankbench.kernels import triton_layer
from rankbench.kernels.hstu_attention import AttentionPlan, plan_attention
from rankbench.kernels.triton_layer import function

from .test_cpu import any_bounds, candidates
from .test_hstu_layer import assert_near, gradients, leaves_of, literal

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
REASON = None if importlib.util.find_spec("triton") else "triton is not installed: make triton installs it"
pytestmark = [pytest.mark.long, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

OPTIONS: dict[str, Any] = {"heads": 2, "alpha": 0.3, "activation": "silu", "clean": True}


def on_device(plan: AttentionPlan) -> AttentionPlan:
    places = (plan.offsets, plan.lo, plan.hi, plan.position, plan.query_time, plan.key_time, plan.own_time)
    return plan_attention(*(None if one is None else one.to(DEVICE) for one in places))  # type: ignore[arg-type]


def run(leaves: list[Tensor | None], plan: AttentionPlan, divisor: Tensor | float, rate: float = 0.0, **options: Any) -> Tensor:
    named = {**OPTIONS, **options}
    layer = module.Layer(
        *leaves[:4], plan, named["heads"], named["alpha"], leaves[4], leaves[5], named["activation"], divisor, None, rate,
        named["clean"], None,
    )  # type: ignore[arg-type] # fmt: skip
    return triton_layer.layer(layer, module._inverse_divisor(layer), module.EPSILON)


def mask_of(tokens: int, width: int, rate: float, seed: int) -> Tensor:
    """The mask that a layer draws first after `torch.manual_seed(seed)`, as the backward pass computes it again."""
    torch.manual_seed(seed)
    drawn = torch.randint(2**31 - 1, (1,), device=DEVICE)
    attended = torch.randn(tokens, width, device=DEVICE)
    z, found = torch.full((tokens, 4 * width), 5.0, device=DEVICE), [torch.empty(tokens, width, device=DEVICE) for _ in range(3)]
    norm = function._moments(attended, 1e-6)
    function._rows(
        "gate_backward", tokens, width, d_gated=attended, z=z, attended=attended, mean=norm.mean, scale=norm.scale, seed=drawn,
        gated=found[0], d_gate=found[1], d_attended=found[2], rate=rate, DROPOUT=True,
    )  # fmt: skip
    return (found[0] != 0).cpu() / (1 - rate)


def both(
    plan: AttentionPlan, width: int, *, tables: str = "both", rate: float = 0.0, seed: int = 3, **options: Any
) -> tuple[list[Tensor], list[Tensor]]:
    """Output and gradients of the programs and of the equations, with the same mask."""
    named = {**OPTIONS, **options}
    leaves, tokens = leaves_of(len(plan.lo), width, 0, tables, named["heads"]), len(plan.lo)
    own = [None if one is None else one.float().to(DEVICE).requires_grad_() for one in leaves]
    exact = [None if one is None else one.requires_grad_() for one in leaves]
    mask = mask_of(tokens, width, rate, seed) if rate else torch.ones(tokens, width)
    torch.manual_seed(seed)
    y = run(own, on_device(plan), 13.0, rate, **options)
    expected = literal(*exact, plan, divisor=13.0, mask=mask.double(), **named)  # type: ignore[arg-type]
    found = gradients(y.cpu(), own)
    return [one.cpu() for one in found], gradients(expected, exact)


@pytest.mark.parametrize("width", [6, 16, 34, 130])
@pytest.mark.parametrize("clean", [True, False])
def test_any_width(width: int, clean: bool) -> None:
    """More than a tile of each product, and less."""
    assert_near(*both(any_bounds([37, 0, 1, 30], seed=1), width, clean=clean), relative=1e-5)


@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("tables", ["none", "position", "both", "position of heads"])
def test_every_table_and_activation(tables: str, activation: str) -> None:
    assert_near(*both(candidates(20, 9, 2), 24, tables=tables, activation=activation), relative=1e-5)


@pytest.mark.parametrize("clean", [True, False])
def test_masks_of_dropout_are_the_same_in_both_passes(clean: bool) -> None:
    assert_near(*both(any_bounds([40, 5], seed=4), 24, rate=0.4, clean=clean), relative=1e-5)


def test_masks_drop_at_their_rate_and_differ_by_seed() -> None:
    one, two = (mask_of(300, 64, 0.3, seed) for seed in (0, 1))
    assert float((one == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(((one == 0) & (two == 0)).float().mean()) == pytest.approx(0.09, abs=0.02)
    assert torch.equal(one, mask_of(300, 64, 0.3, 0))


@pytest.mark.parametrize("dtype", [torch.float16, pytest.param(torch.bfloat16, marks=pytest.mark.skipif(
    DEVICE.type == "cpu", reason="Triton's interpreter multiplies matrices of bfloat16 as if their bits were whole numbers"
))])  # fmt: skip
def test_mixed_precision_keeps_x_and_gradients_in_their_types(dtype: torch.dtype) -> None:
    plan, width = any_bounds([40, 9], seed=2), 32
    leaves = leaves_of(len(plan.lo), width, 0, "both", 2)
    own = [None if one is None else one.float().to(DEVICE).requires_grad_() for one in leaves]
    exact = [None if one is None else one.requires_grad_() for one in leaves]
    with torch.autocast(DEVICE.type, dtype=dtype):
        y = run(own, on_device(plan), 13.0)
    assert y.dtype == torch.float32
    wanted = literal(*exact, plan, divisor=13.0, mask=torch.ones(len(plan.lo), width).double(), **OPTIONS)  # type: ignore[arg-type]
    found = [one.cpu() for one in gradients(y.cpu(), own)]
    assert {one.dtype for one in found} == {torch.float32}
    assert_near(found, gradients(wanted, exact), relative=4e-3 if dtype == torch.float16 else 3e-2)


def test_without_gradients_nothing_is_kept_and_the_output_is_the_same() -> None:
    plan = on_device(any_bounds([30], seed=9))
    leaves = [None if one is None else one.float().to(DEVICE) for one in leaves_of(30, 20, 0, "both", 2)]
    alone = run(leaves, plan, 7.0)
    learning = run([None if one is None else one.requires_grad_() for one in leaves], plan, 7.0)
    assert not alone.requires_grad and learning.requires_grad and torch.equal(alone, learning.detach())


def test_the_check_before_it_is_taken_finds_a_mistake() -> None:
    """What decides on a card whether the programs run there."""
    with torch.inference_mode():  # as who scores asks first
        assert module.differs_from_parts(module._on_gpu, DEVICE) is None

    def wrong(layer: module.Layer) -> Tensor:
        return module._on_gpu(layer._replace(alpha=layer.alpha * 1.1))

    assert str(module.differs_from_parts(wrong, DEVICE)).startswith("it computes something else: relative error")


def test_recomputed_layers_give_the_same_gradients() -> None:
    from torch.utils.checkpoint import checkpoint

    plan, results = on_device(any_bounds([30], seed=9)), []
    for again in (False, True):
        leaves = [None if one is None else one.float().to(DEVICE).requires_grad_() for one in leaves_of(30, 20, 0, "both", 2)]
        torch.manual_seed(1)

        def layer(*of: Tensor) -> Tensor:
            return run([*of], plan, 7.0, 0.2)

        y = checkpoint(layer, *leaves, use_reentrant=False) if again else layer(*leaves)  # type: ignore[arg-type]
        results.append([one.cpu() for one in gradients(y.cpu(), leaves)])
    for one, two in zip(*results, strict=True):  # the order of sums over a table is not fixed
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("card", "dtype", "width"), [(80, "bf16", 64), (80, "fp32", 100), (90, "bf16", 512), (90, "bf16", 1024)])
def test_programs_compile_for_a_gpu_and_fit_it(card: int, dtype: str, width: int) -> None:
    """No GPU is needed. In a process without the interpreter."""
    script = Path(__file__).resolve().parents[1] / "support" / "compile_triton_layer.py"
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, str(script), str(card), dtype, str(width)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    shared, beyond_registers = zip(*(map(int, line.split()[1:]) for line in done.stdout.splitlines()), strict=True)
    assert len(shared) == 8 and max(shared) <= {80: 166_912, 90: 232_448}[card], "what the card has for a block of threads"
    assert max(beyond_registers) <= 128, "bytes a thread"
