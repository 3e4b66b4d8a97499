"""A model over several processes of torchrun: copies that sum up gradients (training/team.py), or parts that are gathered when
they are needed (FSDP2, torch.distributed.fsdp.fully_shard): weights, gradients and moments of AdamW then take the memory of one
in all. Rows of large tables may lie apart from either; see scattered_rows.py."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from ..contract import Ranker
from ..training.team import Team

Sharding = Literal["copies", "fsdp", "rows", "fsdp-rows"]
"""The last two: rows of large tables are scattered, and the rest is copies or FSDP's."""


def sharded(model: Ranker, device: torch.device, team: Team) -> None:
    """Each layer of `model` becomes a part of its own that is gathered before it computes, forward and backward, and let go
    after it; tables, norms and the head are one more. Gradients are means over the processes."""
    mesh = init_device_mesh(device.type, (team.size,))
    for layer in model.stack():
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def mean_over(team: Team, value: Tensor) -> float:
    """The mean of a scalar over the processes."""
    if team.size == 1:
        return value.item()
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total.item() / team.size
