"""The benchmark of attention measures what it says: contenders, pairs, operations, errors, and a record of it all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rankbench.bench import cli
from rankbench.bench import device as devices
from rankbench.bench.commands.roots import data_roots
from rankbench.bench.speed import kernels
from rankbench.bench.speed.kernels import AttentionShape, lines, measure, shape_of, shapes
from rankbench.kernels.dispatch import OPERATIONS
from support.cache import own_cache
from support.tables import click_table

CPU = torch.device("cpu")
SMALL = AttentionShape("small", (5, 1, 9), 2, 4)
AVAILABLE = [one.name for one in OPERATIONS["hstu_attention"] if one.automatic and one.refusal(CPU, torch.float32) is None]


def test_what_is_measured() -> None:
    rows = measure(SMALL, CPU, torch.float32, rounds=2)
    assert [row.contender for row in rows] == [*AVAILABLE, *kernels.YARDSTICKS]
    for row in rows:
        assert row.tokens == 15 and row.pairs == sum(n * (n + 1) // 2 for n in SMALL.lengths)
        assert row.flop == 2 * row.pairs * 2 * 7 * 4
        assert len(row.seconds) == len(row.gemm_flops) == 2 and min(row.seconds) > 0 < min(row.gemm_flops)
        # The output and the gradients of q, k, v live at the end.
        assert row.megabytes * 2**20 >= 4 * 15 * 2 * 4 * 4
    errors = {row.contender: row.error for row in rows}
    assert all(errors[name] is not None and errors[name] < 1e-5 for name in AVAILABLE)  # type: ignore[operator]
    assert all(errors[name] is None for name in kernels.YARDSTICKS)


def test_the_dense_yardstick_is_the_same_mathematics() -> None:
    case = kernels._case(SMALL, CPU, torch.float64)
    gradients = torch.autograd.grad(kernels._attend(case, SMALL.size, "torch"), (case.q, case.bias), case.grad)
    real = torch.arange(max(SMALL.lengths)) < torch.tensor(SMALL.lengths).unsqueeze(1)
    for name in ("eager", "eager-select"):
        dense = kernels._contenders(case, SMALL, CPU, torch.float64)[name]()
        assert isinstance(dense, tuple)
        assert torch.allclose(dense[3], gradients[1], atol=1e-12)
        assert torch.allclose(dense[0].transpose(1, 2)[real], gradients[0], atol=1e-12)


def test_memory_is_what_lives_at_once() -> None:
    x = torch.ones(1000)

    def run() -> torch.Tensor:
        y = x + 1
        z = y + 1
        del y
        return z + 1

    assert devices.allocated(run, CPU) == pytest.approx(2 * 4000, abs=100)


def test_half_empty_batches_are_the_same_every_time() -> None:
    first, second = list(shapes(CPU)), list(shapes(CPU))
    assert first == second and len(first) == 6
    assert all(len(set(one.lengths)) == 1 for one in first if one.name.endswith("full"))
    assert list(shapes(torch.device("cuda")))[:6] == first, "an accelerator gets larger ones besides"


def test_a_data_set_gives_a_batch_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    shape = shape_of(str(click_table(tmp_path)), data_roots(None))
    assert shape.plan is not None and sum(shape.lengths) == len(shape.plan.lo) and shape.positions == 102
    assert [row.contender for row in measure(shape, CPU, torch.float32, rounds=1)] == AVAILABLE


@pytest.mark.long
def test_the_command_keeps_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kernels, "shapes", lambda device: [SMALL])
    monkeypatch.setattr(kernels, "shape_of", lambda dataset, roots: AttentionShape(f"{dataset} batch", (3, 2), 1, 4))
    assert cli.main(["speed", "kernels", "--rounds", "1", "--device", "cpu", "--dataset", "ml-100k,a.yaml"]) == 0
    shown = capsys.readouterr().out
    name = "results/local/kernels-cpu-fp32-1-dataset=ml-100k,a.json"
    record = json.loads((tmp_path / name).read_text())
    assert {row["shape"] for row in record["rows"]} == {"small", "ml-100k batch", "a.yaml batch"}
    assert record["simulated"] is False and record["environment"]["threads"] == 1
    assert "| small | 15 |" in shown and f"record: {name}" in shown


def test_what_is_ended_early_keeps_the_shapes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(dataset: str, roots: object) -> AttentionShape:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kernels, "shapes", lambda device: [SMALL])
    monkeypatch.setattr(kernels, "shape_of", refused)
    assert cli.main(["speed", "kernels", "--rounds", "1", "--device", "cpu"]) != 0
    record = json.loads((tmp_path / "results/local/kernels-cpu-fp32-1.json").read_text())
    assert {row["shape"] for row in record["rows"]} == {"small"}


def test_ratios_are_taken_round_by_round() -> None:
    make = lambda name, seconds: kernels.AttentionTime("s", name, 10, 10, 1e9, seconds, [1e9, 1e9, 1e9], 1.0, None)  # noqa: E731
    table = lines([make("fast", [1.0, 2.0, 4.0]), make("slow", [3.0, 6.0, 12.0])])
    assert "| 3.00 |" in table[3] and "| 1 |" in table[2]
