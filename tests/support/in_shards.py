"""What tests run in each of two processes: `python in_shards.py FOLDER WHAT`, with the environment of torchrun. They learn with
whole models and with parted ones (`parted`), or with whole tables and scattered rows (`scattered`); what was learnt
goes to FOLDER/rank-N.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.speed.large import _Steps
from rankbench.bench.speed.sharding import Sharding
from rankbench.bench.training.team import ALONE, Team, assembled
from support.logs import make_data

MODELS = ("hstu", "llama")


class Learnt(NamedTuple):
    """By one process."""

    losses: list[float]
    """Of each step."""
    held: int
    """Numbers of the model's parameters that the process has."""


def lessons_of(data: RankingData, events: int, count: int) -> list[Any]:
    """The first batches of an epoch."""
    batches = make_batches(data, "sequence", "train", 0, events)
    return [(batches.assemble(plan, np.random.default_rng(0)), None) for plan in batches.plans(0)[:count]]


def learnt(data: RankingData, name: str, train: TrainConfig, team: Team, sharding: Sharding, lessons: list[Any]) -> Learnt:
    """Steps of a fresh model."""
    info = registry.info(name)
    experiment = Experiment(name, data.config, train, info.config(dropout=0.0))
    torch.manual_seed(0)
    model = info.build(experiment.params, data.spec)
    steps = _Steps(model, experiment, torch.device("cpu"), team, sharding)
    losses = [steps.run(iter([lesson])) for lesson in lessons]
    held = [getattr(parameter, "_local_tensor", parameter) for parameter in model.parameters()]
    return Learnt(losses, sum(tensor.numel() for tensor in held))


def parted(data: RankingData, team: Team) -> dict[str, list[Learnt]]:
    """Case -> the whole model, and a parted one, from equal batches."""
    lessons, found = lessons_of(data, 200, 4), {}
    for name in MODELS:
        for recompute in (False, True):
            train = TrainConfig(lr=3e-3, recompute=recompute)
            cases: tuple[tuple[Team, Sharding], ...] = ((ALONE, "copies"), (team, "fsdp"))
            found[f"{name} {recompute}"] = [learnt(data, name, train, *case, lessons) for case in cases]
    return found


def scattered(data: RankingData, team: Team) -> dict[str, list[Learnt]]:
    """Case -> whole tables, and scattered rows, from equal batches and from each process's own."""
    # Rows are stepped in the backward pass, before the norm of all gradients is known.
    train = TrainConfig(lr=3e-2, table_optimizer="rowwise-adagrad", clip_norm=0.0)
    lessons, found = lessons_of(data, 60, 8), {}
    own = lessons[team.rank :: team.size]
    for name in MODELS:
        whole = learnt(data, name, train, team, "fsdp", own)
        found[f"{name}, equal batches"] = [
            learnt(data, name, train, ALONE, "copies", lessons), learnt(data, name, train, team, "rows", lessons),
        ]  # fmt: skip
        found[f"{name}, parted, own batches"] = [whole, learnt(data, name, train, team, "fsdp-rows", own)]
        found[f"{name}, copies, own batches"] = [whole, learnt(data, name, train, team, "rows", own)]
    return found


def main(folder: Path, what: str) -> None:
    torch.set_num_threads(1)
    with assembled("cpu") as (team, _):
        data = make_data(folder / f"log-{team.rank}", DataConfig("tiny", history_length=6), users=20, longest=40)
        found = {"parted": parted, "scattered": scattered}[what](data, team)
        (folder / f"rank-{team.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
