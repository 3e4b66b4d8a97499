"""What a test runs in each of two processes: `python in_shards.py FOLDER`, with the environment of torchrun. Both learn from the
same batches, parted and whole; losses and weights go to FOLDER/rank-N.json."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.speed.large import _Steps
from rankbench.bench.training.team import ALONE, assembled
from support.logs import make_data

MODELS = ("hstu", "llama")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found = {}
    with assembled("cpu") as (team, device):
        data = make_data(folder / f"log-{team.rank}", DataConfig("tiny", history_length=6), users=20, longest=40)
        batches = make_batches(data, "sequence", "train", 0, 200)
        lessons = [(batches.assemble(plan, np.random.default_rng(0)), None) for plan in batches.plans(0)[:4]]
        for name in MODELS:
            info, train = registry.info(name), TrainConfig(lr=3e-3)
            for recompute in (False, True):
                config = dataclasses.replace(train, recompute=recompute)
                experiment = Experiment(name, data.config, config, info.config(dropout=0.0))
                losses, parts = [], []
                for one, sharding in ((ALONE, "copies"), (team, "fsdp")):
                    torch.manual_seed(0)
                    model = info.build(experiment.params, data.spec)
                    steps = _Steps(model, experiment, device, one, sharding)  # type: ignore[arg-type]
                    losses.append([steps.run(iter([lesson])) for lesson in lessons])
                    held = [getattr(parameter, "_local_tensor", parameter) for parameter in model.parameters()]
                    parts.append(sum(tensor.numel() for tensor in held))
                found[f"{name} {recompute}"] = {"losses": losses, "held": parts}
        (folder / f"rank-{team.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
