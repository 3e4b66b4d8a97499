"""A log trains in memory that does not grow with it: a limit of the system holds, whatever the log's length."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots

CHILD = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data import columns
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import prepare
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train

folder, allowed = Path(sys.argv[1]), int(sys.argv[2])
columns.IN_MEMORY, columns.BLOCK_ROWS = 1 << 20, 100_000

def held():
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmData"))

# The first batch loads what is loaded once: compiled kernels, threads.
for size, limited in (("small", False), ("large", True)):
    if limited:
        limit = held() + allowed
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    for name, behaviours in (("lr", ()), ("hstu", ()), ("hstu", ("label",))):
        config = DataConfig(str(folder / f"{size}.yaml"), history_length=20, behaviours=behaviours)
        data = prepare(config, DataRoots(None, folder / "cache"))
        info = registry.info(name)
        torch.manual_seed(0)
        model = info.build(info.config(), data.spec)
        config = TrainConfig(batch_size=512, batch_events=2048)
        steps = len(make_batches(data, info.view, "train", config.batch_size, config.batch_events).plans(0))
        file = Checkpoint(folder / f"{size}-{name}-{len(behaviours)}.pt", "test")
        state = train(model, info, data, config, 0, torch.device("cpu"), file, Quiet(), length=5 / steps)
        assert state.steps == 5 and np.isfinite(state.loss_sum)
    print(size, data.log.meta.events)
"""


@pytest.mark.long
def test_a_log_trains_under_a_limit_below_what_it_would_take_in_memory(tmp_path: Path) -> None:
    """Anonymous memory is limited; two million events took 400 MB when all that follows from a log was held."""
    rng = np.random.default_rng(0)
    for name, rows in (("small", 20_000), ("large", 2_000_000)):
        table = {
            "user": rng.integers(0, 2_000, rows),
            "item": rng.integers(0, 500, rows),
            "time": rng.integers(1_600_000_000, 1_602_000_000, rows),
            "click": rng.integers(0, 2, rows),
        }
        pd.DataFrame(table).to_parquet(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.yaml").write_text(f"events: {name}.parquet\nlabel: click\naction: [click]\n")
        open_dataset(str(tmp_path / f"{name}.yaml"), DataRoots(None, tmp_path / "cache"))
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(160 << 20)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    small, large = (int(line.split()[1]) for line in done.stdout.splitlines())
    assert small > 19_000 and large > 1_900_000
