"""Steps of large generative rankers on a simulated log: time, memory and the share of what the device could compute.

A step is what training does: a batch is assembled and moved, then forward, loss, backward, clipping and AdamW. The same batches
are gone through once before they are timed, so that kernels are compiled and steps recorded by then.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import distributed

from .. import device as devices
from .. import registry
from ..config import Experiment, Settings, resolve
from ..contract import ModelInfo, Ranker, SequenceBatch
from ..data.ahead import AHEAD
from ..data.batches import Batches
from ..data.dataset import RankingData
from ..errors import UserError
from ..evaluation.step_flops import step_flops
from ..training.course import course_of
from ..training.gradients import Gradients, recorder_of
from ..training.lessons import Lesson, assembled
from ..training.optimizer import Optimizer
from ..training.team import ALONE, Team
from ..training.trainer import TrainState
from .scattered_rows import scatter
from .sharding import Sharding, mean_over, sharded


class Size(NamedTuple):
    """Of a model, and how long the histories are."""

    width: int
    layers: int
    heads: int
    history: int
    events: int
    """Of a batch."""


SIZES = {
    "tiny": Size(32, 2, 2, 20, 400),
    "base": Size(512, 8, 8, 1024, 16_384),
    "long": Size(512, 12, 8, 4096, 32_768),
    "large": Size(1024, 16, 8, 2048, 32_768),
    "huge": Size(1024, 24, 8, 8192, 65_536),
}
"""Histories hold twice as many tokens in the interleaved layout."""

NOMINAL = {
    "H200": 989e12, "H200 NVL": 835e12, "H100 80GB HBM3": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12,
    "A100-SXM4-40GB": 312e12, "A100-SXM4-80GB": 312e12, "A100-PCIE-40GB": 312e12, "A100 80GB PCIe": 312e12,
    "L40S": 362e12, "A10": 125e12,
}  # fmt: skip
"""Multiply-adds of bf16 and fp16 with dense matrices, two operations each, in a second, as the vendor's data sheets state them;
by the card's whole name behind the vendor's. Part of a name is not enough: of one family, cards for other slots, shares of a card
and cards made for one customer compute other numbers. Of the Ascend 910B's variants no data sheet is public."""


@dataclass(frozen=True)
class LargeRun:
    """A model of one size, measured; one value per round."""

    model: str
    size: str
    width: int
    layers: int
    history: int
    parameters: int
    precision: str
    ways: str
    """What changes time and memory alone: recomputed layers, padded or recorded steps, assembly on the device."""
    processes: int
    sharding: Sharding
    kernels: dict[str, str]
    step_ms: list[float]
    events: float
    """A step and process."""
    flops: float
    """Of a step, by process; see evaluation/step_flops.py."""
    product_flops: float
    """In a second, of this device's own product of matrices in this precision."""
    nominal_flops: float | None
    """In a second, as the vendor states it; None: not known for the device and precision."""
    peak_mb: float
    losses: list[float]
    """Of the first batch, before any step and at the beginning of the last round."""

    @property
    def flops_per_second(self) -> float:
        return self.flops / (statistics.median(self.step_ms) / 1e3)

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation: of the vendor's number."""
        return None if self.nominal_flops is None else self.flops_per_second / self.nominal_flops


def experiment_of(model: str, size: Size, settings: Settings) -> Experiment:
    """A model of a size; what the user sets stands above it.

    Raises:
        UserError: the model is no generative ranker, or a setting is wrong.
    """
    info = registry.info(model)
    if info.family != "generative":
        raise UserError(f"speed large measures generative rankers, not {model}")
    own = {"width": size.width, "layers": size.layers, "heads": size.heads, **settings.models.get(model, {})}
    train = {"batch_events": size.events, **settings.train}
    data = {"dataset": "simulated", "history_length": size.history, **settings.data}
    return resolve(info, dataclasses.replace(settings, data=data, train=train, models={model: own}))


def measure(
    experiment: Experiment, name: str, data: RankingData, device: torch.device, team: Team, sharding: Sharding, steps: int,
    rounds: int,
) -> LargeRun:  # fmt: skip
    """Time `steps` steps, `rounds` times.

    Raises:
        UserError: the log has too few batches, or the settings do not go together.
    """
    from ...kernels import dispatch

    info, config = registry.info(experiment.model), experiment.train
    batches = course_of(data, info, config, 0, None, device).lessons(0)
    plans = batches.plans(0)[: steps * team.size]
    if len(plans) < steps * team.size:
        raise UserError(f"the log has {len(plans)} batches, {steps} a process are needed: fewer --steps or smaller batch_events")
    torch.manual_seed(0)
    model = info.build(experiment.params, data.spec).to(device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    flops, events = _arithmetic(info, experiment.params, data, batches, plans)
    product = product_flops(device, config.precision)
    trainer = _Steps(model, experiment, device, team, sharding)
    memory, found = devices.PeakMemory(device), []
    with dispatch.watching() as kernels:
        losses = [trainer.run(_source(batches, plans, experiment, device, team))]
        if experiment.train.whole_step == "graph":  # a shape is recorded when it comes for the second time
            trainer.run(_source(batches, plans, experiment, device, team))
    for _ in range(rounds):
        devices.synchronize(device)
        begin = time.perf_counter()
        losses.append(trainer.run(_source(batches, plans, experiment, device, team)))
        devices.synchronize(device)
        found.append((time.perf_counter() - begin) * 1e3 / steps)
        memory.sample()
    trainer.release()
    size = experiment.params
    return LargeRun(
        model=info.name,
        size=name,
        width=size.width,
        layers=size.layers,
        history=data.config.history_length,
        parameters=parameters,
        precision=config.precision,
        ways=_ways(experiment),
        processes=team.size,
        sharding=sharding,
        kernels=dict(kernels),
        step_ms=found,
        events=events,
        flops=flops,
        product_flops=product,
        nominal_flops=nominal_flops(device, config.precision),
        peak_mb=memory.megabytes(),
        losses=[losses[0], losses[-1]],
    )


def _ways(experiment: Experiment) -> str:
    train = experiment.train
    ways = ["recompute"] * train.recompute + [train.whole_step] * (train.whole_step != "off")
    return ", ".join([*ways, *["assembly on the device"] * (train.assembly == "device")])


def _source(batches: Batches, plans: list[Any], experiment: Experiment, device: torch.device, team: Team) -> Iterator[Lesson]:
    fill_up, ahead = experiment.train.whole_step != "off", 0 if device.type == "cpu" else AHEAD
    return assembled(batches, plans, TrainState(), 0, device, ahead, team, None, fill_up)


def _arithmetic(info: ModelInfo, params: Any, data: RankingData, batches: Batches, plans: list[Any]) -> tuple[float, float]:
    """Operations and events of a step, of the first batch: all are about as large."""
    batch = batches.assemble(plans[0], None)
    assert isinstance(batch, SequenceBatch)
    batch = _on_cpu(dataclasses.replace(batch, seen_at=batch.seen()))
    return step_flops(info, params, data.spec, batch), float(len(batch.lo))


def _on_cpu(batch: SequenceBatch) -> SequenceBatch:
    from ..contract import to_device

    return to_device(batch, torch.device("cpu"))


class _Steps:
    """Steps of a model in one process of several."""

    def __init__(self, model: Ranker, experiment: Experiment, device: torch.device, team: Team, sharding: Sharding) -> None:
        self.model, self.team, self.config = model, team, experiment.train
        self.parted = sharding.startswith("fsdp") and distributed.is_initialized()
        self.scattered = sharding.endswith("rows") and distributed.is_initialized()
        self.scaler = devices.grad_scaler(device, self.config.precision)
        if self.scattered:
            if self.config.whole_step == "graph":
                raise UserError(f"--sharding {sharding} goes with steps that are not recorded")
            scatter(model, self.config, device, team)
        if self.parted:
            if self.scaler is not None or self.config.whole_step == "graph":
                raise UserError(f"--sharding {sharding} goes with fp32 and bf16, and with steps that are not recorded")
            sharded(model, device, team)
        record = recorder_of(model, self.config, device, ALONE if self.parted else team)
        of_step = record if self.scaler is None else None
        self.optimizer = Optimizer(model, self.config, device, team, self.parted, of_step)
        self.gradients = Gradients(model, self.config, device, self.scaler, self.optimizer.zero_grad, record)

    def release(self) -> None:
        """Give back what is recorded, before the next size."""
        self.gradients.release()
        self.optimizer.release()

    def run(self, source: Iterator[Lesson]) -> float:
        """The loss of the first step, which sees the same examples in every round; a mean over the processes."""
        first: torch.Tensor | None = None
        for batch, lists in source:
            if self.parted or self.team.size == 1:
                loss = self.gradients(batch, lists)
            elif self.scattered:
                # Whoever fails meanwhile leaves others in the exchange of rows, where no sum may meet them: the process ends.
                own = self.gradients(batch, lists)
                # TorchRec weighs processes alike, so all other gradients do too.
                loss = torch.tensor(self.team.average(self.model, lambda: (own, 1))[0])  # noqa: B023
            else:
                counted = lambda: (self.gradients(batch, lists), len(batch))  # noqa: B023, E731
                loss = torch.tensor(self.team.average(self.model, counted)[0])
            self.optimizer.step(self.scaler)
            # The next step may overwrite it, and reading it here would make the host wait.
            first = loss.detach().clone() if first is None else first
        assert first is not None, "a round has steps"
        return mean_over(self.team, first) if self.parted else first.item()


def product_flops(device: torch.device, precision: str) -> float:
    """Operations in a second of torch's product of two large square matrices; the fastest of five."""
    edge = 512 if device.type == "cpu" or devices.is_simulated(device) else 8192
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    square, times = torch.randn(edge, edge, device=device).to(dtype), []
    for _ in range(6):
        devices.synchronize(device)
        begin = time.perf_counter()
        torch.mm(square, square)
        devices.synchronize(device)
        times.append(time.perf_counter() - begin)
    return 2 * edge**3 / min(times[1:])


def nominal_flops(device: torch.device, precision: str) -> float | None:
    """What the vendor states, where it is known."""
    name = devices.accelerator_name(device) or ""
    return NOMINAL.get(name.removeprefix("NVIDIA ")) if precision != "fp32" else None


def lines(runs: list[LargeRun]) -> list[str]:
    """A table: medians, and the share of the device's own product and of what its vendor states."""
    result = [
        "| model | width x layers | history | parameters | ways | processes | ms a step | events/s | TFLOP/s | of its product "
        "| MFU | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        step = statistics.median(run.step_ms)
        processes = str(run.processes) if run.sharding == "copies" and run.processes == 1 else f"{run.processes} {run.sharding}"
        cells = (
            f"{run.model} {run.precision}", f"{run.width:,} x {run.layers}", f"{run.history:,}", f"{run.parameters:,}",
            run.ways or "plain", processes, f"{step:,.1f}",
            f"{run.events * run.processes / step * 1e3:,.0f}", f"{run.flops_per_second / 1e12:.3g}",
            f"{run.flops_per_second / run.product_flops:.1%}", "not known" if run.mfu is None else f"{run.mfu:.1%}",
            f"{run.peak_mb:,.0f}",
        )  # fmt: skip
        result.append("| " + " | ".join(cells) + " |")
    return result
