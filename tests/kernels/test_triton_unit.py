"""The activation unit's programs for GPUs against the equations in float64: on a GPU where there is one, else in Triton's
interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rankbench.kernels.target_attention import Layers, gpu
from rankbench.kernels.target_attention.events import Events

from .test_target_attention import Inputs, inputs_of, literal

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
REASON = None if importlib.util.find_spec("triton") else "triton is not installed: make triton installs it"
pytestmark = [pytest.mark.long, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


def there(inputs: Inputs) -> Inputs:
    """The same leaves on the device."""

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(DEVICE).requires_grad_()

    layers = Layers(*(None if one is None else moved(one) for one in inputs.layers))  # type: ignore[arg-type]
    ids = [one.to(DEVICE) for one in inputs.ids]
    tables = [moved(table) for table in inputs.tables]
    return Inputs(moved(inputs.query), moved(inputs.key), moved(inputs.start), layers, tables, ids, inputs.offsets.to(DEVICE))


def both(inputs: Inputs, dtype: torch.dtype | None = None) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Weights and all gradients, of the programs and of the equations; `dtype`: of the first term, as autocast makes it."""
    own, exact = there(inputs), inputs.doubled()
    start = own.start if dtype is None else own.start.to(dtype)
    weights, expected = gpu.unit(own.query, own.events(), own.offsets, start, own.layers), literal(exact)
    assert weights.dtype == start.dtype
    grad = torch.randn(len(expected), generator=torch.Generator().manual_seed(5))
    found = torch.autograd.grad(weights, own.leaves(), grad.to(DEVICE, weights.dtype), allow_unused=True)
    wanted = torch.autograd.grad(expected, exact.leaves(), grad.double(), allow_unused=True)
    pairs = [(one, two) for one, two in zip(found, wanted, strict=True) if two is not None]
    return [weights.detach().cpu(), *(one.cpu() for one, _ in pairs)], [expected.detach(), *(two for _, two in pairs)]  # type: ignore[union-attr]


def assert_near(found: list[torch.Tensor], wanted: list[torch.Tensor], relative: float) -> None:
    for own, exact in zip(found, wanted, strict=True):
        assert float((own.double() - exact).norm()) <= relative * float(exact.norm()) + 1e-12


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("hidden", [(7,), (16, 16), (33, 17), (80, 40)])
@pytest.mark.parametrize(("lengths", "size"), [([3, 0, 1, 70], 3), ([64], 32), ([130, 0, 0, 5], 37)])
def test_it_is_its_equations(lengths: list[int], size: int, hidden: tuple[int, ...], tables: bool) -> None:
    """Odd sizes, examples without a past, more than a block of events and less, more inputs than are read at a time."""
    assert_near(*both(inputs_of(lengths, size, tables, hidden, seed=1)), relative=1e-5)


def test_in_mixed_precision_gradients_keep_their_types() -> None:
    inputs = inputs_of([40, 3], 20, True, (33, 17), seed=2)
    found, wanted = both(inputs, torch.float16)
    assert {one.dtype for one in found[1:]} == {torch.float32}
    assert_near(found, wanted, relative=1e-2)


def test_without_events_there_are_no_weights() -> None:
    inputs = inputs_of([0, 0], 8, True, (7,), seed=0)
    assert gpu.unit(inputs.query, inputs.events(), inputs.offsets, inputs.start, inputs.layers).shape == (0,)


def test_the_check_before_it_is_taken_finds_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides on a card whether the programs run there."""
    with torch.inference_mode():  # as who scores asks first
        assert gpu.differs_from_parts(DEVICE) is None
    right = gpu.unit

    def wrong(query: torch.Tensor, events: Events, *others: torch.Tensor) -> torch.Tensor:
        return right(query * 1.1, events, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(gpu, "unit", wrong)
    assert str(gpu.differs_from_parts(DEVICE)).startswith("it computes something else: relative error")


@pytest.mark.slow
@pytest.mark.parametrize(("card", "dtype"), [(80, "bf16"), (80, "fp32"), (90, "bf16"), (90, "fp32")])
@pytest.mark.parametrize(
    "sizes", [(80, 80, 40, 3), (64, 128, 64, 0), (16, 32, 0, 3)], ids=lambda sizes: "-".join(map(str, sizes))
)
def test_programs_compile_for_a_gpu_and_fit_it(card: int, dtype: str, sizes: tuple[int, ...]) -> None:
    """No GPU is needed. In a process without the interpreter, which allows more than the compiler does."""
    script = Path(__file__).resolve().parents[1] / "support" / "compile_triton_unit.py"
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, str(script), str(card), dtype, *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    shared, beyond_registers = zip(*(map(int, line.split()[1:]) for line in done.stdout.splitlines()), strict=True)
    assert len(shared) == 2 and max(shared) <= {80: 166_912, 90: 232_448}[card], "what the card has for a block of threads"
    assert max(beyond_registers) <= 128, "bytes a thread"
