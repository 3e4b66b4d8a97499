"""HSTU's and STU's layers against numbers of the authors' own layers (meta-recsys/generative-recommenders db1bf8f) in float64.

The numbers are no part of this repository: golden/golden_hstu.json and golden/golden_stu.json of the data root. Parameters map as
follows: `_uvqk` and `_uvqk_weight` are turned, as is `_output_weight`; the position table counts from its middle, where a token
meets itself, towards its start; of the time table, rows beyond ours never get a gradient. The loss is a sum of the outputs with
weights, which rise evenly from -1 to 1 for HSTU and are not in the file for STU.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.bench.contract import DataSpec, Field
from rankbench.generative import hstu, stu
from rankbench.generative.attention import Geometry
from rankbench.kernels.hstu_attention import plan_attention
from rankbench.kernels.time_buckets import GAP_BUCKETS

EXACT = 1e-12
"""Largest difference over the largest number of each tensor."""


def golden(name: str) -> dict[str, Any]:
    """The numbers of a file, tensors as nested lists."""
    root = os.environ.get("RANKBENCH_DATA")
    if root is None:
        pytest.skip(f"RANKBENCH_DATA is not set: no golden/{name}")
    file = Path(root) / "golden" / name
    if not file.is_file():
        pytest.skip(f"RANKBENCH_DATA has no golden/{name}")
    return json.loads(file.read_text())


def exact(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def near(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= EXACT * expected.abs().max())


def spec_of(history_length: int) -> DataSpec:
    user, item = (Field("user", 3),), (Field("item", 3),)
    return DataSpec(user, item, (), Field("action", 3), history_length, 5 * history_length, "request", GAP_BUCKETS, 0.5)


def output(layers: nn.ModuleList, x: Tensor, geometry: Geometry) -> Tensor:
    for layer in layers:
        x = layer(x, geometry)
    return x


def passed(layers: nn.ModuleList, x: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Output and gradient of the input; those of the parameters lie in them."""
    y = output(layers, x.requires_grad_(), geometry)
    (y * torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)).sum().backward()
    assert x.grad is not None
    return y.detach(), x.grad


def hstu_layers(case: dict[str, Any]) -> nn.ModuleList:
    """Ours, with the authors' parameters. Their divisor, N, is history_length + 1 of ours without actions."""
    timed = "_rel_attn_bias._ts_w" in case["layers"][0]
    width, longest = len(case["x"][0]), case["N"]
    config = hstu.Config(
        width=width, heads=case["heads"], dropout=0.0, actions=False, relative_bias="both" if timed else "position"
    )
    layers = nn.ModuleList(hstu.HSTULayer(config, spec_of(longest - 1)) for _ in case["layers"]).double()
    for layer, theirs in zip(layers, case["layers"], strict=True):
        layer.load_state_dict(hstu_names(theirs, longest))
    return layers


def hstu_names(theirs: dict[str, Any], longest: int) -> dict[str, Tensor]:
    """Parameters or gradients of a layer by our names."""
    position = exact(theirs["_rel_attn_bias._pos_w" if "_rel_attn_bias._pos_w" in theirs else "_rel_attn_bias._w"])
    ours = {
        "uvqk.weight": exact(theirs["_uvqk"]).T,
        "out.weight": exact(theirs["_o.weight"]),
        "out.bias": exact(theirs["_o.bias"]),
        "attention.bias.position": position[:longest].flip(0),
    }
    if "_rel_attn_bias._ts_w" in theirs:
        ours["attention.bias.time"] = exact(theirs["_rel_attn_bias._ts_w"])[:GAP_BUCKETS]
    return ours


def hstu_geometry(case: dict[str, Any], own_time: bool) -> Geometry:
    """A row sees itself and what stands before it, and looks back from the time of the event after it."""
    lengths = torch.tensor(case["lengths"])
    offsets = nn.functional.pad(lengths.cumsum(0), (1, 0))
    at = torch.arange(int(offsets[-1]))
    start = torch.repeat_interleave(offsets[:-1], lengths)
    times = [torch.tensor(row) * 1000 for row in case["timestamps"]]
    key = torch.cat([row[:n] for row, n in zip(times, case["lengths"], strict=True)])
    query = torch.cat([row[1 : n + 1] for row, n in zip(times, case["lengths"], strict=True)])
    plan = plan_attention(offsets, start, at, at - start, query, key, key if own_time else None)
    return Geometry(plan, None, float(case["N"]), torch.zeros_like(at))


@pytest.mark.parametrize("which", ["hstu_position", "hstu_diag0"])
def test_hstu_s_layers_are_the_authors(which: str) -> None:
    """With a bias over positions alone, their layer as it is; with times, theirs with the own key's bucket set to 0."""
    case = golden("golden_hstu.json")[which]
    layers = hstu_layers(case)
    y, dx = passed(layers, exact(case["x"]), hstu_geometry(case, own_time=False))
    assert near(y, exact(case["y"])) and near(dx, exact(case["dx"]))
    for layer, theirs in zip(layers, case["grads"], strict=True):
        expected = hstu_names(theirs, case["N"])
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None and near(parameter.grad, expected[name]), name


def written_out(case: dict[str, Any], x: Tensor, zero_diagonal: bool) -> Tensor:
    """The authors' layers from their parameters, pair by pair."""
    width, heads, longest = x.shape[1], case["heads"], case["N"]
    size = width // heads
    for layer in case["layers"]:
        weights = {name: exact(values) for name, values in layer.items()}
        normed = nn.functional.layer_norm(x, (width,), eps=1e-6)
        u, v, q, k = nn.functional.silu(normed @ weights["_uvqk"]).split(width, dim=1)
        rows, begin = [], 0
        for times, n in zip(case["timestamps"], case["lengths"], strict=True):
            for i in range(n):
                parts = []
                for h in range(heads):
                    own, total = slice(h * size, (h + 1) * size), torch.zeros(size, dtype=torch.float64)
                    for j in range(i + 1):
                        gap = 0 if zero_diagonal and i == j else times[i + 1] - times[j]
                        s = q[begin + i, own] @ k[begin + j, own] + weights["_rel_attn_bias._pos_w"][longest - 1 + j - i]
                        s = s + weights["_rel_attn_bias._ts_w"][int(math.log(max(1, abs(gap))) / 0.301)]
                        total = total + nn.functional.silu(s) / longest * v[begin + j, own]
                    parts.append(total)
                rows.append(torch.cat(parts))
            begin += n
        attended = nn.functional.layer_norm(torch.stack(rows), (width,), eps=1e-6)
        x = x + (u * attended) @ weights["_o.weight"].T + weights["_o.bias"]
    return x


def test_hstu_s_layers_with_the_published_diagonal() -> None:
    """Pairs written out equal the golden numbers without it, so that they are the authors' layer, and ours with it."""
    case = golden("golden_hstu.json")["hstu_diag0"]
    assert near(written_out(case, exact(case["x"]), zero_diagonal=True), exact(case["y"]))
    x = exact(case["x"]).requires_grad_()
    expected = written_out(case, x, zero_diagonal=False)
    assert not near(expected, exact(case["y"]))
    weights = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view_as(x)
    (slope,) = torch.autograd.grad((expected * weights).sum(), x)
    y, dx = passed(hstu_layers(case), exact(case["x"]), hstu_geometry(case, own_time=True))
    assert near(y, expected.detach()) and near(dx, slope)


STU_NAMES = {
    "uvqk.weight": "_uvqk_weight", "uvqk.bias": "_uvqk_beta", "input_norm.weight": "_input_norm_weight",
    "input_norm.bias": "_input_norm_bias", "out.weight": "_output_weight", "output_norm.weight": "_output_norm_weight",
    "output_norm.bias": "_output_norm_bias",
}  # fmt: skip


def stu_names(theirs: dict[str, Any]) -> dict[str, Tensor]:
    """Parameters or gradients of a layer by our names; matrices are turned."""
    found = {ours: exact(theirs[name]) for ours, name in STU_NAMES.items()}
    return {name: values.T if values.dim() == 2 else values for name, values in found.items()}


def test_stu_s_layers_are_the_authors() -> None:
    """Two heads, a divisor of 7. Candidates stand behind the history of their segment, see all of it, and not each other."""
    case = golden("golden_stu.json")
    history, targets = torch.tensor(case["history"]), torch.tensor(case["targets"])
    lengths = history + targets
    offsets = nn.functional.pad(lengths.cumsum(0), (1, 0))
    at = torch.arange(int(offsets[-1]))
    start = torch.repeat_interleave(offsets[:-1], lengths)
    hi = torch.minimum(at, start + torch.repeat_interleave(history, lengths))
    width = len(case["x"][0])
    config = stu.Config(width=width, heads=2, dropout=0.0)
    layers = nn.ModuleList(stu.STULayer(config, spec_of(6)) for _ in case["layers"]).double()
    for layer, theirs in zip(layers, case["layers"], strict=True):
        layer.load_state_dict(stu_names(theirs))
    geometry = Geometry(plan_attention(offsets, start, hi, hi - start), None, 7.0, torch.zeros_like(at))
    mixed: list[Tensor] = []
    layers[-1].out.register_forward_pre_hook(lambda _, arguments: mixed.append(arguments[0].detach()))
    y = output(layers, exact(case["x"]), geometry)
    assert near(y.detach(), exact(case["y"]))
    # The weights of the loss follow from the gradient of the last matrix, by 24 equations for 11 unknowns of each column.
    of_matrix = exact(case["grads"][-1]["_output_weight"])
    weights = torch.linalg.lstsq(mixed[0].T, of_matrix).solution
    assert near(mixed[0].T @ weights, of_matrix)
    (y * weights).sum().backward()
    for layer, theirs in zip(layers, case["grads"], strict=True):
        expected = stu_names(theirs)
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None and near(parameter.grad, expected[name]), name
