"""What tests run on the simulated npu, in a process of its own: `python on_npu.py TASK FOLDER [ARGUMENTS]`.

A task prints one JSON line last.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from rankbench.bench import cli, registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.contract import to_device
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.padding import padded
from rankbench.bench.evaluation import evaluator
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.gradients import Gradients
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train
from rankbench.kernels.dispatch import forced, replaced
from rankbench.kernels.hstu_attention.borders import key_borders
from rankbench.kernels.hstu_attention.plan import Inputs
from rankbench.kernels.hstu_attention.triton import blocks
from support import fake_mxrec, simulated_graphs, simulated_hccl, simulated_npu
from support.logs import make_data
from support.power import OffAt, PowerOff

NPU = torch.device("privateuseone")
"""Its name before `install` renames it."""


def command(folder: Path, *arguments: str) -> object:
    """The command line."""
    code = cli.main(arguments)
    any_shape = not torch.npu.compiles_for_each_shape  # type: ignore[attr-defined]
    return {"code": code, "operations": sum(simulated_npu.OPERATIONS.values()), "any_shape": any_shape}


def fused(folder: Path, *arguments: str) -> object:
    """The command line, where Huawei's operator is loaded."""
    fake_mxrec.install()
    return command(folder, *arguments)


def together(folder: Path, *arguments: str) -> object:
    """The command line, in one of several processes."""
    simulated_hccl.install()
    return {"code": cli.main(arguments), "sums": dict(simulated_hccl.SUMS)}


def resume(folder: Path, name: str) -> object:
    """Test scores of a run without a break, and of one that was stopped within an epoch."""
    data = make_data(folder / "log", DataConfig("tiny", history_length=6), users=40, longest=60)
    config = TrainConfig(epochs=3, patience=3, batch_size=128, batch_events=300, checkpoint_seconds=1e-9)
    info = registry.info(name)

    def fit(file: Path, progress: Quiet) -> list[float]:
        torch.manual_seed(0)
        model = info.build(info.config(), data.spec).to(NPU)
        train(model, info, data, config, 0, NPU, Checkpoint(file, "test"), progress)
        return evaluator.predictions(evaluator.Forward(model, NPU, "fp32"), info, data, "test")["score"].tolist()

    straight = fit(folder / "straight.pt", Quiet())
    try:
        fit(folder / "broken.pt", OffAt(5))
    except PowerOff:
        saved = torch.load(folder / "broken.pt", map_location="npu", weights_only=True)
    return {
        "straight": straight,
        "resumed": fit(folder / "broken.pt", Quiet()),
        "devices": sorted({value.device.type for value in saved["state"]["model"].values()}),
    }


def waits(folder: Path, name: str) -> object:
    """How often the host waits for the device in one training step, by operation."""
    data = make_data(folder / "log", DataConfig("tiny", history_length=6), users=40, longest=60)
    info, config = registry.info(name), TrainConfig()
    model = info.build(info.config(), data.spec).to(NPU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = make_batches(data, info.view, "train", 128, 300)
    steps = []
    for plan in batches.plans(0)[:3]:
        simulated_npu.SYNCS.clear()
        batch = to_device(batches.assemble(plan, None), NPU)
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch), batch.label)
        auxiliary = model.auxiliary_loss()
        (loss if auxiliary is None else loss + auxiliary).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        steps.append(dict(simulated_npu.SYNCS))
    return {"steps": steps}


def numbers(folder: Path, models: str) -> object:
    """Loss and gradients beside those of the CPU."""
    from support.same_numbers import compare

    return {"wrong": compare(models.split(","), NPU, folder)}


def _geometry_alone(inputs: Inputs) -> torch.Tensor:
    """In place of attention: what Triton's programs are told of a batch."""
    blocks.tokens_of(inputs.plan)
    blocks.queries(inputs.plan, 64)
    blocks.keys(inputs.plan, 64, 32)
    key_borders(inputs.plan)
    return inputs.v


def decides(folder: Path, models: str) -> object:
    """How often the host waits for the device, and sends it something, in a step over a padded batch, the programs of attention
    aside: a step in which it does neither can be recorded."""
    data = make_data(folder / "log", DataConfig("tiny", history_length=6), users=40, longest=60)
    found = {}
    for name in models.split(","):
        info = registry.info(name)
        batches = make_batches(data, info.view, "train", 100, 300)
        batch = to_device(padded(batches.assemble(batches.plans(0)[0], None)), NPU)
        model = info.build(info.config(), data.spec).to(NPU)
        assert not model.moving_shape()
        gradients = Gradients(model, TrainConfig(), NPU, None, model.zero_grad)
        with replaced("hstu_attention", _geometry_alone):
            gradients(batch, None)  # constants of a device are made once
            simulated_npu.SYNCS.clear()
            simulated_npu.SENT.clear()
            gradients(batch, None)
        found[name] = {"waits": dict(simulated_npu.SYNCS), "sent": dict(simulated_npu.SENT)}
    return found


def recorded(folder: Path, models: str) -> object:
    """Scores of training over padded batches, and of the same as graphs; and how many were recorded and replayed."""
    data, found = make_data(folder / "log", DataConfig("tiny", history_length=6), users=40, longest=60), {}
    config = TrainConfig(epochs=3, patience=3, batch_size=128, batch_events=300, lr=2e-3, lr_decay="linear", clip_norm=0.2)
    for name in models.split(","):
        info, scores, weights = registry.info(name), [], []
        simulated_graphs.COUNTS.clear()
        for at, whole_step in enumerate(("padded", "graph")):
            torch.manual_seed(0)
            own = dataclasses.replace(config, whole_step=whole_step, assembly=("host", "device")[at])
            model = info.build(info.config(), data.spec).to(NPU)
            with forced({"hstu_attention": "dense"}):
                train(model, info, data, own, 0, NPU, Checkpoint(folder / f"{name}-{at}.pt", "test"), Quiet())
                forward = evaluator.Forward.of(model, own, NPU)
                scores.append(evaluator.predictions(forward, info, data, "test")["score"].tolist())
            weights.append(torch.cat([value.detach().cpu().flatten() for value in model.parameters()]))
        found[name] = {"padded": scores[0], "graph": scores[1], **simulated_graphs.COUNTS}
        found[name]["apart"] = float((weights[1] - weights[0]).norm() / weights[0].norm())
    return found


def mistakes(folder: Path) -> object:
    """What the device refuses."""
    refused = {}
    for what, wrong in {
        "float64": lambda: torch.ones(2, dtype=torch.float64).to(NPU),
        "mixed": lambda: torch.ones(2, device=NPU) + torch.ones(2),
    }.items():
        try:
            wrong()
        except (TypeError, RuntimeError) as error:
            refused[what] = str(error).splitlines()[0]
    return refused


if __name__ == "__main__":
    simulated_npu.install()
    task, folder, *arguments = sys.argv[1:]
    tasks = (command, fused, together, resume, waits, numbers, decides, recorded, mistakes)
    result = {one.__name__: one for one in tasks}[task](Path(folder), *arguments)
    print(json.dumps(result))
    sys.exit(bool(result.get("code") or result.get("wrong")))
