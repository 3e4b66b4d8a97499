"""PLE, STAR and PEPNet against their equations, one row, domain and unit at a time, in float64: values and gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines import pepnet, ple, star
from rankbench.baselines._domains import Domains
from rankbench.bench.contract import DataSpec, PointwiseBatch, Ranker
from support.example_rows import in_double

DOMAIN = "tab"
COUNT = 3
"""Values of the field besides padding and unknown."""


def line(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear)
    y = torch.stack([(row * x).sum() for row in layer.weight])
    return y if layer.bias is None else y + layer.bias


def layers(network: nn.Module, x: Tensor) -> Tensor:
    """An MLP of ReLU."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            x = line(layer, x).clamp(min=0)
    return x


def domain_of(batch: PointwiseBatch, row: int) -> int:
    """Unknown is taken for the most frequent one, which is the first."""
    ids = batch.fields[DOMAIN]
    assert isinstance(ids, Tensor)
    return max(int(ids[row]) - 2, 0)


def task_line(layer: ple.TaskLinear, task: int, x: Tensor) -> Tensor:
    return (layer.weight[task] * x.unsqueeze(1)).sum(0) + layer.bias[task, 0]


def softmax(x: Tensor) -> Tensor:
    return x.exp() / x.exp().sum()


def mixture(weights: Tensor, experts: Sequence[Tensor]) -> Tensor:
    total = torch.zeros_like(experts[0])
    for weight, expert in zip(softmax(weights), experts, strict=True):
        total = total + weight * expert
    return total


def literal_ple(model: ple.PLE, batch: PointwiseBatch) -> Tensor:
    """Tang et al. 2020, equations 1 to 8: a gate weighs the experts of its own task, then the shared ones."""
    logits = []
    for row, x in enumerate(model.inputs(batch)):
        shared = layers(model.mlp, x)
        own = [shared] * model.tasks
        for level in model.levels:
            assert isinstance(level, ple.Extraction)
            of_tasks = [
                list(task_line(level.own, task, own[task]).clamp(min=0).chunk(level.own_count)) for task in range(model.tasks)
            ]
            of_all = list(line(level.shared, shared).clamp(min=0).chunk(level.shared_count))
            mixed = [mixture(task_line(level.gate, task, own[task]), of_tasks[task] + of_all) for task in range(model.tasks)]
            if level.shared_gate is not None:
                shared = mixture(line(level.shared_gate, shared), [one for task in of_tasks for one in task] + of_all)
            own = mixed
        towers = [task_line(model.out, task, task_line(model.tower, task, own[task]).clamp(min=0)) for task in range(model.tasks)]
        logits.append(torch.cat(towers) if model.domains is None else towers[domain_of(batch, row)])
    return torch.stack(logits)


def star_line(layer: star.StarLinear, domain: int, x: Tensor) -> Tensor:
    """Sheng et al. 2021, equations 5 and 6."""
    weight = layer.centre.weight * layer.own_weight[domain]
    return torch.stack([(row * x).sum() for row in weight]) + layer.centre.bias + layer.own_bias[domain]


def literal_star(model: star.STAR, batch: PointwiseBatch) -> Tensor:
    """Sheng et al. 2021, equations 3 to 8; in training, statistics are those of the domain's rows."""
    inputs = model.inputs(batch)
    of_row = [domain_of(batch, row) for row in range(len(batch))]
    logits = []
    for row, x in enumerate(inputs):
        domain, norm = of_row[row], model.norm
        mean, variance = norm.running_mean[domain], norm.running_var[domain]
        if model.training:
            like = inputs[[at for at, other in enumerate(of_row) if other == domain]]
            mean = like.sum(0) / len(like)
            variance = ((like - mean) ** 2).sum(0) / len(like)
        hidden = (x - mean) / torch.sqrt(variance + norm.eps)
        hidden = hidden * norm.scale * norm.own_scale[domain] + norm.shift + norm.own_shift[domain]
        for layer in model.layers:
            assert isinstance(layer, star.StarLinear)
            hidden = star_line(layer, domain, hidden).clamp(min=0)
        logits.append(star_line(model.out, domain, hidden) + line(model.auxiliary_out, layers(model.auxiliary, x)))
    return torch.stack(logits)


def gate(unit: nn.Module, x: Tensor) -> Tensor:
    """Chang et al. 2023, equations 1 and 2."""
    assert isinstance(unit, pepnet.GateUnit)
    return 2 / (1 + torch.exp(-line(unit.out, line(unit.hidden, x).clamp(min=0))))


def literal_pepnet(model: pepnet.PEPNet, batch: PointwiseBatch) -> Tensor:
    """Chang et al. 2023, equations 3 to 8."""
    fields = model.inputs.inputs
    logits = []
    for x in model.inputs(batch):
        domain = x[fields.columns(DOMAIN)] if model.gate.hidden.in_features > len(x) else x[:0]
        scaled = gate(model.gate, torch.cat([domain, x.detach()])) * x
        prior = torch.cat([x[: fields.prior_width], scaled.detach()])
        values = []
        for tower in model.towers:
            assert isinstance(tower, pepnet.Tower)
            hidden = scaled
            for unit, layer in zip(tower.gates, tower.layers, strict=False):
                hidden = line(layer, gate(unit, prior) * hidden).clamp(min=0)
            values.append(line(tower.out, gate(tower.gates[-1], prior) * hidden))
        logits.append(torch.cat(values))
    return torch.stack(logits)


SMALL = {"embedding_dim": 3, "attention_hidden": (5,), "dropout": 0.0, "user_id": "embedding"}
CASES: list[tuple[Any, Callable[..., Tensor], dict[str, Any]]] = [
    (ple, literal_ple, {"hidden": (6,), "expert_hidden": 4, "levels": 1, "own_experts": 2}),
    (ple, literal_ple, {"hidden": (6,), "expert_hidden": 5, "levels": 3, "shared_experts": 3}),
    (ple, literal_ple, {"hidden": (), "expert_hidden": 4, "tasks": "labels"}),
    (star, literal_star, {"hidden": (6, 4), "auxiliary_hidden": 5}),
    (star, literal_star, {"hidden": (6,), "item_fields": "sum", "user_fields": "sum"}),
    (pepnet, literal_pepnet, {"hidden": (6, 4), "gate_hidden": 5}),
    (pepnet, literal_pepnet, {"hidden": (6,), "gate_hidden": 3, "item_fields": "sum", "user_fields": "sum"}),
]


def made(module: Any, options: dict[str, Any], spec: DataSpec) -> Ranker:
    torch.manual_seed(0)
    model = module.INFO.build(module.Config(**SMALL, **options), spec).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("rates", [(), (0.1, 0.02)])
@pytest.mark.parametrize("domain", ["", DOMAIN])
@pytest.mark.parametrize(("module", "literal", "options"), CASES)
def test_it_is_its_equations(
    module: Any,
    literal: Callable[..., Tensor],
    options: dict[str, Any],
    domain: str,
    rates: tuple[float, ...],
    train: bool,
    make_spec: Callable[..., DataSpec],
    make_batch: Callable[..., PointwiseBatch],
) -> None:
    spec = dataclasses.replace(make_spec(), domain=domain, further_rates=rates)
    batch = in_double(make_batch(spec, n=9, seed=3))
    if not domain:  # a single domain: the literal loops look at the field
        batch = dataclasses.replace(batch, fields={**batch.fields, DOMAIN: torch.full((9,), 2)})
    model = made(module, options, spec)
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2.0) if name.endswith("var") else buffer.normal_()
    model.train(train)
    # The literal loops read moving averages before a pass in training moves them.
    slow = literal(model, batch)
    fast = model(batch).reshape(slow.shape)
    assert fast.shape == (9, 1 + len(rates))
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-11)
    weight = torch.randn_like(fast)
    parameters = list(model.parameters())
    of_fast, of_slow = (torch.autograd.grad((one * weight).sum(), parameters, allow_unused=True) for one in (fast, slow))
    for one, two in zip(of_fast, of_slow, strict=True):
        torch.testing.assert_close(torch.zeros(()) if one is None else one, torch.zeros_like(one) if two is None else two)


def test_rows_go_to_the_network_of_their_domain_and_come_back_in_order(make_spec: Callable[..., DataSpec]) -> None:
    domains = Domains(dataclasses.replace(make_spec(), domain=DOMAIN))
    assert domains.count == COUNT
    domain = torch.tensor([2, 0, 2, 1, 0])
    x = torch.arange(5.0).unsqueeze(1)
    torch.testing.assert_close(domains.apart(x, domain, lambda at, rows: rows + 10 * at), x + 10 * domain.unsqueeze(1))
    torch.testing.assert_close(domains.apart(x[:2], domain[:2], lambda at, rows: rows + 10 * at), x[:2] + 10 * domain[:2, None])


def test_a_domain_that_training_has_not_met_is_taken_for_the_most_frequent_one(
    make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    spec = dataclasses.replace(make_spec(), domain=DOMAIN)
    batch = make_batch(spec, n=4)
    batch = dataclasses.replace(batch, fields={**batch.fields, DOMAIN: torch.tensor([1, 2, 3, 4])})
    assert Domains(spec).of(batch).tolist() == [0, 0, 1, 2]
    assert Domains(dataclasses.replace(spec, domain="")).of(batch).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("module", [ple, star, pepnet])
def test_what_a_domain_has_for_itself_changes_no_score_of_another(
    module: Any, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    spec = dataclasses.replace(make_spec(), domain=DOMAIN)
    batch = in_double(make_batch(spec, n=40))
    model, domain = made(module, {}, spec).eval(), Domains(spec).of(batch)
    before = model(batch)
    with torch.no_grad():
        if module is ple:
            model.tower.weight[1] += 1  # type: ignore[operator]
        elif module is star:
            model.out.own_bias[1] += 1  # type: ignore[operator]
        else:
            model.inputs.inputs.embeddings.tables[model.inputs.inputs.embeddings.index[DOMAIN]].weight[3] += 1  # type: ignore[index]
    after = model(batch)
    assert (after[domain == 1] != before[domain == 1]).all()
    if module is not pepnet:  # past events of a user have domains, too
        assert torch.equal(after[domain != 1], before[domain != 1])
