"""What a test runs in each of two processes: `python in_scattered.py FOLDER`, with the environment of torchrun. They learn with
whole tables and with scattered rows, from equal batches and from batches of their own; losses go to FOLDER/rank-N.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.speed.large import _Steps
from rankbench.bench.speed.sharding import Sharding
from rankbench.bench.training.team import ALONE, Team, assembled
from support.logs import make_data

MODELS = ("hstu", "llama")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found = {}
    with assembled("cpu") as (team, device):
        data = make_data(folder / f"log-{team.rank}", DataConfig("tiny", history_length=6), users=20, longest=40)
        batches = make_batches(data, "sequence", "train", 0, 60)
        lessons = [(batches.assemble(plan, np.random.default_rng(0)), None) for plan in batches.plans(0)[:8]]
        # Rows are stepped in the backward pass, before the norm of all gradients is known.
        config = TrainConfig(lr=3e-2, table_optimizer="rowwise-adagrad", clip_norm=0.0)
        for name in MODELS:
            info = registry.info(name)
            experiment = Experiment(name, data.config, config, info.config(dropout=0.0))

            def learnt(one: Team, sharding: Sharding, lessons: list[Any], experiment: Experiment = experiment) -> list[float]:
                torch.manual_seed(0)
                model = registry.info(experiment.model).build(experiment.params, data.spec)
                steps = _Steps(model, experiment, device, one, sharding)
                return [steps.run(iter([lesson])) for lesson in lessons]

            own = lessons[team.rank :: team.size]
            found[name] = {
                "equal batches": [learnt(ALONE, "copies", lessons), learnt(team, "rows", lessons)],
                "different batches": [learnt(team, "fsdp", own), learnt(team, "fsdp-rows", own)],
                "different batches, copies": [learnt(team, "fsdp", own), learnt(team, "rows", own)],
            }
        (folder / f"rank-{team.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
