"""A backend of torch.distributed called `hccl` for the simulated npu: gloo over the memory that npu tensors share with the CPU.

In Python a backend can only be a whole process group, which then stands for gloo on the host as well. It knows the collectives
that training needs; any other is an error. It says nothing about the real one.
"""

from __future__ import annotations

import collections
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from .simulated_npu import to_cpu

SUMS: collections.Counter[str] = collections.Counter()
"""Type of device -> sums over processes of tensors there."""


class SimulatedHccl(distributed.ProcessGroup):
    """Sums of npu tensors, and what processes tell each other on the host."""

    def __init__(self, store: distributed.Store, rank: int, size: int, timeout: timedelta) -> None:
        super().__init__(rank, size)
        self.gloo = distributed.ProcessGroupGloo(distributed.PrefixStore("inside", store), rank, size, timeout)

    def getBackendName(self) -> str:
        return "hccl"

    def allreduce(self, tensors: list[Tensor], options: Any = None) -> distributed.Work:
        SUMS.update(tensor.device.type for tensor in tensors)
        self.gloo.allreduce([to_cpu(one) if one.device.type == "npu" else one for one in tensors], options).wait()
        done: torch.futures.Future[list[Tensor]] = torch.futures.Future()
        done.set_result(tensors)
        return torch._C._distributed_c10d._create_work_from_future(done)

    def broadcast(self, tensors: list[Tensor], options: Any = None) -> distributed.Work:
        return self.gloo.broadcast(tensors, options)

    def allgather(self, outputs: list[list[Tensor]], inputs: list[Tensor], options: Any = None) -> distributed.Work:
        return self.gloo.allgather(outputs, inputs, options)


def install() -> None:
    """Register the backend for device type `npu`."""
    distributed.Backend.register_backend("hccl", SimulatedHccl, devices=["npu"])
