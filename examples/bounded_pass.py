"""A part of one training pass over a log, and the memory that it takes:

    python examples/bounded_pass.py large/large.yaml hstu 100

The last argument is how many steps are trained, at the most a whole pass. Nothing is validated and nothing is kept.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

from rankbench.bench import registry
from rankbench.bench.commands.roots import data_roots
from rankbench.bench.config import Settings, resolve
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import prepare
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train


def memory() -> str:
    """Peak of resident memory, and how much is now held besides pages of mapped files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    own = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"peak {peak // 1024:,} MB, now {own // 1024:,} MB besides mapped files"


def main(dataset: str, model_name: str, steps: int) -> None:
    info, begin = registry.info(model_name), time.perf_counter()
    print(f"imported: {memory()}")
    experiment = resolve(info, Settings(data={"dataset": dataset}))
    data = prepare(experiment.data, data_roots(None))
    print(f"{data.log.meta.events:,} events prepared in {time.perf_counter() - begin:.0f} s: {memory()}")
    torch.manual_seed(0)
    model = info.build(experiment.params, data.spec)
    config = experiment.train
    batches = len(make_batches(data, info.view, "train", config.batch_size, config.batch_events).plans(0))
    share = min(steps / batches, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        file = Checkpoint(Path(folder) / "resume.pt", "bounded pass")
        state = train(model, info, data, config, 0, torch.device("cpu"), file, Quiet(), length=share)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{info.name}: {state.steps} steps, {state.trained:,} examples, {share:.1%} of a pass, {state.seconds:.0f} s, "
        f"{parameters:,} parameters: {memory()}"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
