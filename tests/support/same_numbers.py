"""Loss and gradients of every model on a device beside those of the CPU, same weights and batch, fp32: `python -m
support.same_numbers DEVICE FOLDER [--models NAMES]`. Prints a line a model; fails where one is further away than rounding."""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from rankbench.bench import device as devices
from rankbench.bench import registry
from rankbench.bench.config import DataConfig
from rankbench.bench.contract import Ranker, to_device
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from support.logs import make_data

MOST = 1e-2
"""Relative to the norm of all gradients; TF32 and HF32 round to 1e-3."""


def gradients(model: Ranker, batch: Any, device: torch.device) -> torch.Tensor:
    """Loss, and all gradients end to end, on the CPU. Without masks of dropout, which each device draws otherwise."""
    model, batch = copy.deepcopy(model).to(device).eval(), to_device(batch, device)
    loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
    loss.backward()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.cat([loss.detach().reshape(1), *(one.flatten() for one in found)]).cpu().double()


def error_of(name: str, data: RankingData, device: torch.device) -> float:
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(info.config(), data.spec)
    batches = make_batches(data, info.view, "train", 256, 512)
    batch = batches.assemble(batches.plans(0)[0], None)
    wanted = gradients(model, batch, torch.device("cpu"))
    return float((gradients(model, batch, device) - wanted).norm() / wanted.norm())


def compare(names: list[str], device: torch.device, folder: Path) -> dict[str, str]:
    """Model -> what is wrong."""
    data, wrong = make_data(folder, DataConfig("tiny", history_length=6), users=40, longest=60), {}
    for name in names:
        try:
            error = error_of(name, data, device)
        except Exception as reason:  # whatever a driver raises: the others are tried all the same
            wrong[name] = f"{type(reason).__name__}: {' '.join(str(reason).split())[:200]}"
        else:
            print(f"{name}: relative difference {error:.1e}", flush=True)
            if not error < MOST:
                wrong[name] = f"relative difference {error:.1e}"
    for name, reason in wrong.items():
        print(f"WRONG {name}: {reason}", flush=True)
    return wrong


def main(arguments: list[str]) -> int:
    """0 if every model agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default=",".join(name for name in registry.MODELS if registry.info(name).fit == "gradient"))
    asked = parser.parse_args(arguments)
    return int(bool(compare(asked.models.split(","), devices.resolve(asked.device), asked.folder)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
