"""GDCN, FinalMLP and Wukong against their equations, one number or vector at a time in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines import finalmlp, gdcn, wukong
from rankbench.bench.contract import DataSpec, PointwiseBatch, Ranker

SMALL: dict[str, Any] = {"embedding_dim": 3, "dropout": 0.0}


def line(x: Tensor, layer: nn.Module) -> Tensor:
    rows = [sum(weight * number for weight, number in zip(row, x, strict=True)) for row in layer.weight]
    return torch.stack(rows) if layer.bias is None else torch.stack(rows) + layer.bias


def network(x: Tensor, mlp: nn.Sequential) -> Tensor:
    for layer in mlp:
        if isinstance(layer, nn.Linear):
            x = torch.relu(line(x, layer))
    return x


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def layer_norm(x: Tensor, norm: nn.Module) -> Tensor:
    centred = x - x.sum() / len(x)
    return centred / torch.sqrt((centred * centred).sum() / len(x) + 1e-5) * norm.weight + norm.bias


def literal_gdcn(model: gdcn.GDCN, fields: Tensor) -> Tensor:
    x0 = x = fields.flatten()
    for cross in model.crosses:
        x = torch.stack(
            [a * b * c + d for a, b, c, d in zip(x0, line(x, cross.cross), sigmoid(line(x, cross.gate)), x, strict=True)]
        )
    return line(network(x, model.mlp) if model.stacked else torch.cat([x, network(x0, model.mlp)]), model.out)


def literal_finalmlp(model: finalmlp.FinalMLP, fields: Tensor) -> Tensor:
    outputs = []
    for gate, mlp in zip(model.gates, model.mlps, strict=True):
        read = gate.reads.tolist()  # type: ignore[operator, union-attr]
        opened = 2 * sigmoid(line(torch.relu(line(torch.cat([fields[at] for at in read]), gate.up)), gate.down))
        outputs.append(network(opened * fields.flatten(), mlp))
    first, second, fusion = *outputs, model.fusion
    total = line(first, fusion.of_first) + line(second, fusion.of_second)
    parts = first.view(fusion.heads, -1), second.view(fusion.heads, -1)
    for head in range(fusion.heads):
        for a, one in enumerate(parts[0][head]):
            for b, other in enumerate(parts[1][head]):
                total = total + one * fusion.matrix[:, head, a, b] * other
    return total


def literal_wukong(model: wukong.Wukong, fields: Tensor) -> Tensor:
    x = list(fields)
    for layer in model.layers:
        pairs = torch.stack([torch.stack([(one * other).sum() for other in x]) for one in x])
        products = layer_norm((pairs @ layer.projection).flatten(), layer.product_norm)
        new = list(line(torch.relu(line(products, layer.up)), layer.down).view(layer.machines, -1))
        if layer.compress is not None:
            new += [sum(w * vector for w, vector in zip(row, x, strict=True)) for row in layer.compress.weight]
        kept = x
        if layer.shortcut is not None:
            kept = [sum(w * vector for w, vector in zip(row, x, strict=True)) for row in layer.shortcut.weight]
        x = [layer_norm(one + other, layer.norm) for one, other in zip(new, kept, strict=True)]
    return line(network(torch.cat(x), model.mlp), model.out)


CASES: list[tuple[Any, dict[str, Any], Callable[[Any, Tensor], Tensor]]] = [
    (gdcn, {"hidden": (4,), "cross_layers": 2}, literal_gdcn),
    (gdcn, {"hidden": (4,), "stacked": False}, literal_gdcn),
    (finalmlp, {"first": (6, 4), "second": (2,), "gate_hidden": 3}, literal_finalmlp),
    (wukong, {"hidden": (4,), "vectors": 5, "rank": 2, "machine_hidden": 4}, literal_wukong),
]


@pytest.mark.parametrize(("module", "settings", "literal"), CASES, ids=["gdcn-s", "gdcn-p", "finalmlp", "wukong"])
def test_it_is_its_equations(
    module: Any,
    settings: dict[str, Any],
    literal: Callable[[Any, Tensor], Tensor],
    make_spec: Callable[..., DataSpec],
    make_batch: Callable[..., PointwiseBatch],
) -> None:
    """Of two examples, with gradients of all parameters behind the embeddings."""
    model: Ranker = module.INFO.build(module.Config(**SMALL, **settings), make_spec("none")).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    batch = make_batch(make_spec("none"), n=2)
    seen: list[Tensor] = []
    inputs = model.inputs  # type: ignore[attr-defined]
    fields = torch.randn(2, inputs.fields, 3, dtype=torch.float64, requires_grad=True)  # type: ignore[operator]
    inputs.forward = lambda _: fields  # type: ignore[method-assign]
    seen.append(model.eval()(batch))
    slow = torch.cat([literal(model, row) for row in fields])
    torch.testing.assert_close(seen[0], slow, rtol=1e-9, atol=1e-10)
    behind = [p for name, p in model.named_parameters() if not name.startswith("inputs")]
    weight = torch.tensor([1.0, -2.0], dtype=torch.float64)
    for one, two in zip(
        torch.autograd.grad((seen[0] * weight).sum(), [fields, *behind]),
        torch.autograd.grad((slow * weight).sum(), [fields, *behind]),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def test_streams_that_heads_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="the last width of second, 5, cannot be divided among 2 heads"):
        finalmlp.Config(second=(5,))
