"""PLE, progressive layered extraction (Tang et al. 2020, RecSys): experts of each task and shared ones, level by level.

At a level, a task's gate mixes its own experts with the shared ones, and a shared gate mixes all of them for the shared
experts of the next level. Tasks are the domains of the data, each with a tower for every label, or the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear
from ._attended import AttendedConfig, AttendedInputs
from ._domains import Domains
from ._layers import MLP, MLP_SPACE, UNIT_SPACE, Activation, logit


@dataclass(frozen=True)
class Config(AttendedConfig):
    """Hyper-parameters of PLE."""

    tasks: Literal["domains", "labels"] = "domains"
    """What has experts, gates and a tower of its own: each domain of the data, or each label (`data.labels`)."""
    hidden: tuple[Size, ...] = (200,)
    """Widths of the layers that all tasks share, below the experts."""
    levels: Size = 2
    """Of extraction; one level is the paper's CGC."""
    own_experts: Size = 1
    """Of each task, at each level."""
    shared_experts: Size = 2
    """At each level."""
    expert_hidden: Size = 64
    """Width of an expert, one layer with ReLU; a tower's hidden layer is half as wide."""
    activation: Activation = "relu"
    """Of the shared layers."""
    dropout: Rate = 0.2
    """After every shared layer and every expert."""


class TaskLinear(nn.Module):
    """A linear layer of each task: x [tasks, n, inputs] -> [tasks, n, outputs]. Each starts as torch's own does."""

    def __init__(self, tasks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(tasks, inputs, outputs).uniform_(-(inputs**-0.5), inputs**-0.5))
        self.bias = nn.Parameter(torch.empty(tasks, 1, outputs).uniform_(-(inputs**-0.5), inputs**-0.5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.to(x.dtype), x, self.weight.to(x.dtype))


class Extraction(nn.Module):
    """One level: what tasks know [tasks, n, inputs] and what is shared [n, inputs] -> the same of the width of an expert.

    The last level has no shared gate, and gives None for what is shared.
    """

    def __init__(self, tasks: int, inputs: int, config: Config, last: bool) -> None:
        super().__init__()
        self.own_count, self.shared_count = config.own_experts, config.shared_experts
        self.own = TaskLinear(tasks, inputs, config.own_experts * config.expert_hidden)
        self.shared = Linear(inputs, config.shared_experts * config.expert_hidden)
        self.gate = TaskLinear(tasks, inputs, config.own_experts + config.shared_experts)
        self.shared_gate = None if last else Linear(inputs, tasks * config.own_experts + config.shared_experts)
        self.dropout = Dropout(config.dropout)

    def forward(self, own: Tensor, shared: Tensor) -> tuple[Tensor, Tensor | None]:
        of_tasks = self.dropout(F.relu(self.own(own))).unflatten(2, (self.own_count, -1))
        of_all = self.dropout(F.relu(self.shared(shared))).unflatten(1, (self.shared_count, -1))
        tasks, rows = of_tasks.shape[:2]
        weight = self.gate(own).softmax(2).unsqueeze(2).to(of_all.dtype)
        experts = torch.cat([of_tasks, of_all.expand(tasks, -1, -1, -1)], dim=2)
        mixed = (weight @ experts).squeeze(2)
        if self.shared_gate is None:
            return mixed, None
        every = torch.cat([of_tasks.transpose(0, 1).reshape(rows, tasks * self.own_count, -1), of_all], dim=1)
        return mixed, (self.shared_gate(shared).softmax(1).unsqueeze(1).to(every.dtype) @ every).squeeze(1)


class PLE(Ranker):
    """DIN's inputs, shared layers, levels of extraction, a tower a task."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.domains = Domains(spec) if config.tasks == "domains" else None
        tasks, labels = (len(spec.rates), 1) if self.domains is None else (self.domains.count, len(spec.rates))
        self.inputs = AttendedInputs(config, spec)
        self.mlp = MLP(self.inputs.width, config.hidden, config.activation, config.dropout)
        widths = [self.mlp.width, *(config.expert_hidden for _ in range(config.levels - 1))]
        self.levels = nn.ModuleList(
            Extraction(tasks, width, config, last=at == config.levels - 1) for at, width in enumerate(widths)
        )
        tower = math.ceil(config.expert_hidden / 2)
        self.tower, self.out = TaskLinear(tasks, config.expert_hidden, tower), TaskLinear(tasks, tower, labels)
        rates = torch.tensor([logit(rate) for rate in spec.rates])
        with torch.no_grad():
            self.out.bias.copy_(rates.view(-1, 1, 1) if self.domains is None else rates.expand(tasks, 1, -1))
        self.tasks = tasks

    def forward(self, batch: PointwiseBatch) -> Tensor:
        shared: Tensor | None = self.mlp(self.inputs(batch), batch.weight)
        assert shared is not None
        own = shared.expand(self.tasks, -1, -1)
        for level in self.levels:
            assert shared is not None
            own, shared = level(own, shared)
        logits = self.out(F.relu(self.tower(own)))
        if self.domains is None:
            return logits.squeeze(2).T.squeeze(1)
        if self.tasks == 1:
            return logits[0].squeeze(1)
        domain = self.domains.of(batch)
        return logits[domain, torch.arange(len(domain), device=domain.device)].squeeze(1)


INFO = ModelInfo(
    name="ple",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=PLE,
    summary="DIN's attention, then levels of experts that a domain has for itself and experts that all share",
    paper="Tang et al. 2020, Progressive layered extraction (PLE): a novel multi-task learning model, RecSys",
    code="own",
    differs=(
        "tasks are domains unless settings say labels; the paper's are labels of one recommender",
        "the input is DIN's, with attention over the past; a shared layer below the experts, as in mmoe here",
        "all tasks have as many experts",
        "a domain that training has not met is taken for the most frequent one",
    ),
    checked="levels, gates and towers against a literal loop over rows, tasks and experts in float64, values and gradients",
    defaults="two levels as in the paper's PLE; sizes of mmoe here, and no user id, as there",
    space={
        **MLP_SPACE,
        "hidden": Choice(((64,), (128,), (200,), (400,), (200, 80), (400, 400))),
        "attention_hidden": UNIT_SPACE,
        "levels": Choice((1, 2, 3)),
        "shared_experts": Choice((1, 2, 4, 8)),
        "expert_hidden": Choice((16, 32, 64, 128)),
    },
)
