"""One training pass over a log, or a part of it, and the memory that it takes:

    python examples/bounded_pass.py large/large.yaml hstu 100
    python examples/bounded_pass.py large/large.yaml hstu
    python examples/bounded_pass.py large/large.yaml lr data.negatives=uniform data.negative_rate=4

A number is how many steps are trained, a whole pass without it; settings are those of `rankbench run --set`. Nothing is
validated. The state is written every two minutes to a checkpoint in the working directory, from which the same command goes on;
it is deleted at the end.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch

from rankbench.bench import registry
from rankbench.bench.commands.roots import data_roots
from rankbench.bench.config import Settings, resolve
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import prepare
from rankbench.bench.identity import short_hash
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train


def memory() -> str:
    """Peak of resident memory, and how much is now held besides pages of mapped files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    own = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"peak {peak // 1024:,} MB, now {own // 1024:,} MB besides mapped files"


class Told(Quiet):
    """A line on stderr for every million examples."""

    def __init__(self) -> None:
        super().__init__()
        self.begin, self.examples = time.perf_counter(), 0

    def step(self, loss: float, examples: int) -> None:
        before, self.examples = self.examples, self.examples + examples
        if before // TOLD < self.examples // TOLD:
            seconds = time.perf_counter() - self.begin
            print(f"{self.examples:,} examples in {seconds:.0f} s, mean loss {loss:.5f}: {memory()}", file=sys.stderr)


TOLD = 1_000_000


def main(dataset: str, model_name: str, steps: int | None, changes: list[str]) -> None:
    info, begin = registry.info(model_name), time.perf_counter()
    print(f"imported: {memory()}")
    experiment = resolve(info, Settings(data={"dataset": dataset}).changed(changes, (model_name,)))
    data = prepare(experiment.data, data_roots(None))
    print(f"{data.log.meta.events:,} events prepared in {time.perf_counter() - begin:.0f} s: {memory()}")
    torch.manual_seed(0)
    model = info.build(experiment.params, data.spec)
    config = experiment.train
    batches = len(make_batches(data, info.view, "train", config.batch_size, config.batch_events).plans(0))
    share = 1.0 if steps is None else min(steps / batches, 1.0)
    cell = f"{experiment.hash}-{data.log.meta.content_hash}-{share}"
    file = Checkpoint(Path(f"{info.name}-{short_hash(cell)}.pt"), cell)
    state = train(model, info, data, config, 0, torch.device("cpu"), file, Told(), length=share)
    file.remove()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{info.name}: {state.steps} steps, {state.trained:,} examples, {share:.1%} of a pass, {state.seconds:.0f} s, "
        f"{parameters:,} parameters: {memory()}"
    )


if __name__ == "__main__":
    numbers, settings = [one for one in sys.argv[3:] if "=" not in one], [one for one in sys.argv[3:] if "=" in one]
    main(sys.argv[1], sys.argv[2], int(numbers[0]) if numbers else None, settings)
