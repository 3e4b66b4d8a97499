"""A log trains in memory that does not grow with it: a limit of the system holds, whatever the log's length."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots

LIMITED = """
import resource, sys
from pathlib import Path
from rankbench.bench.data import columns
from rankbench.bench.data.sources.schema import DataRoots

folder, allowed = Path(sys.argv[1]), int(sys.argv[2])
columns.IN_MEMORY, columns.BLOCK_ROWS = 1 << 20, 100_000

def limit():
    status = Path("/proc/self/status").read_text().splitlines()
    held = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + allowed, held + allowed))
"""

TRAINS = (
    LIMITED
    + """
import numpy as np, torch
from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import prepare
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train

# The first batch loads what is loaded once: compiled kernels, threads.
for size, limited in (("small", False), ("large", True)):
    if limited:
        limit()
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
)

SAMPLES = (
    LIMITED
    + """
import numpy as np
from rankbench.bench.config import DataConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import prepare

# Two epochs of rows and of segments: those of the first are gone when the second is drawn.
for size, limited in (("small", False), ("large", True)):
    if limited:
        limit()
    for source in ("uniform", "popularity", "in-batch"):
        config = DataConfig(
            str(folder / f"{size}.yaml"),
            history_length=20,
            negatives=source,
            negative_rate=4.0,
            exclude_future_positives=source == "in-batch",
        )
        data = prepare(config, DataRoots(None, folder / "cache"))
        view = "sequence" if source == "popularity" else "pointwise"
        batches = make_batches(data, view, "train", 512, 2048, whole_requests=source == "in-batch")
        for epoch in (0, 1):
            plans = batches.plans(epoch)
            batch = batches.assemble(plans[len(plans) // 2], np.random.default_rng(0))
            assert 0 < batch.label.sum() < len(batch.label)
        assert len(batches.examples) > 4.5 * batches.examples.positives
    print(size, data.log.meta.events)
"""
)


LOOKED_AT = (
    LIMITED
    + """
from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare
from rankbench.bench.data.description import describe
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.inspection.inspect import inspect

for size, limited in (("small", False), ("large", True)):
    if limited:
        limit()
    roots = DataRoots(None, folder / "cache")
    lines = describe(str(folder / f"{size}.yaml"), roots)
    inspect(prepare(DataConfig(str(folder / f"{size}.yaml")), roots))
    (folder / f"{size}-less.yaml").write_text(
        f"source: {size}.yaml\\nsteps: [repeats, {{step: k-core, users: 5, items: 5}}, {{step: sample-users, share: 0.9}}]\\n"
    )
    log = open_dataset(str(folder / f"{size}-less.yaml"), roots)
    assert len(lines) > 10 and len(log.meta.steps) == 3
    print(size, log.meta.events)
"""
)

CONVERTS = (
    LIMITED
    + """
import shutil
from rankbench.bench.data.logs import open_dataset

for size, limited in (("small", False), ("large", True)):
    if limited:
        limit()
    shutil.copy(folder / f"{size}.yaml", folder / f"{size}-again.yaml")
    log = open_dataset(str(folder / f"{size}-again.yaml"), DataRoots(None, folder / "other-cache"))
    print(size, log.meta.events)
"""
)


JOINS = (
    LIMITED
    + """
from rankbench.bench.data.logs import open_dataset

for size, limited in (("small", False), ("large", True)):
    if limited:
        limit()
    log = open_dataset(str(folder / f"{size}-goods.yaml"), DataRoots(None, folder / "other-cache"))
    price = log.column("feature.price")
    assert (price == [float(code) for code in log.dictionary("item")]).all()
    print(size, len(price))
"""
)


@pytest.mark.long
def test_a_side_table_is_joined_under_a_limit_below_what_it_would_take_in_memory(tmp_path: Path) -> None:
    """A million rows, of which the log has 500, took 600 MB when all were held; 64 are enough."""
    for name, rows in (("small", 20_000), ("large", 1_000_000)):
        number = np.arange(rows)
        goods = pd.DataFrame({"sku": number, "price": number.astype(float), "brand": number % 1000, "title": number + 7})
        goods["tags"] = goods["brand"].astype("str") + " " + goods["sku"].astype("str")
        goods.to_parquet(tmp_path / f"{name}-goods.parquet")
        (tmp_path / f"{name}-goods.yaml").write_text(
            f"events: small.parquet\nlabel: click\naction: [click]\nitems: {name}-goods.parquet\nitem_key: sku\n"
            "item_features: [brand, title, {column: price, kind: number}, {column: tags, kind: multi}]\n"
        )
    assert sizes(JOINS, 64 << 20, tmp_path) == [500, 500]


OWNED = (
    LIMITED
    + """
from rankbench.bench.data.logs import open_dataset

for size, limited in (("small", False), ("large", True)):
    if limited:
        limit()
    roots = DataRoots(folder / f"{size}-root", folder / "other-cache")
    own = sys.argv[3] == "own"
    log = open_dataset(str(folder / f"{size}-owned.yaml") if own else "yambda-50m", roots)
    owned = "price" if own else "track_length_seconds"
    number = [int(item) for item in log.dictionary("item")[-100:]]
    assert log.column(f"feature.{owned}")[-100:].tolist() == [one % 1000 for one in number]
    print(size, log.meta.items)
"""
)


@pytest.mark.long
@pytest.mark.parametrize("source", ["own", "yambda"])
def test_what_items_have_in_events_and_in_several_rows_is_known_under_such_a_limit(source: str, tmp_path: Path) -> None:
    """A million items: with a row for each in memory, 96 MB are not enough for either log."""
    for name, rows in (("small", 20_000), ("large", 1_000_000)):
        number = np.arange(rows)
        if source == "own":
            events = pd.DataFrame({"user": number % 1000, "item": number, "time": number + 10**9, "click": number % 2})
            goods = {"price": (number % 1000).astype(float), "title": [f"the title of item {one}" for one in number.tolist()]}
            events.assign(**goods, brand=number % 5000).to_parquet(tmp_path / f"{name}-owned.parquet")
            (tmp_path / f"{name}-owned.yaml").write_text(
                f"events: {name}-owned.parquet\nlabel: click\naction: [click]\n"
                "item_features: [brand, title, {column: price, kind: number}]\n"
            )
            continue
        home = tmp_path / f"{name}-root" / "yambda-50m"
        home.mkdir(parents=True)
        listens = {"uid": number % 1000, "timestamp": 5 * number, "item_id": number, "is_organic": number % 2}
        listens |= {"played_ratio_pct": number % 101, "track_length_seconds": number % 1000, "event_type": "listen"}
        pd.DataFrame(listens).to_parquet(home / "multi_event.parquet")
        for owner in ("artist", "album"):
            pairs = {"item_id": np.repeat(number, 2), f"{owner}_id": np.arange(2 * rows) % 9973}
            pd.DataFrame(pairs).to_parquet(home / f"{owner}_item_mapping.parquet")
    assert sizes(OWNED, 96 << 20, tmp_path, source) == [20_000, 1_000_000]


@pytest.mark.long
def test_a_table_is_converted_under_a_limit_below_what_it_would_take_in_memory(tmp_path: Path) -> None:
    """Ids are text: two million rows of four such columns are some 500 MB as Python holds them."""
    small, large = sizes(CONVERTS, 96 << 20, tmp_path)
    assert small > 19_000 and large > 1_900_000


@pytest.mark.long
def test_a_log_trains_under_a_limit_below_what_it_would_take_in_memory(tmp_path: Path) -> None:
    """Anonymous memory is limited; two million events took 400 MB when all that follows from a log was held."""
    small, large = sizes(TRAINS, 160 << 20, tmp_path)
    assert small > 19_000 and large > 1_900_000


@pytest.mark.long
def test_negatives_are_sampled_under_a_limit_below_what_they_would_take_in_memory(tmp_path: Path) -> None:
    """40 MB are enough for 3.9 million examples an epoch; with whole arrays 256 were not."""
    small, large = sizes(SAMPLES, 64 << 20, tmp_path, items=20_000)
    assert small > 19_000 and large > 1_900_000


@pytest.mark.long
def test_a_log_is_described_checked_and_cut_under_such_a_limit(tmp_path: Path) -> None:
    """40 MB are enough; with whole columns 80 were not, and they would be more for a longer log."""
    small, large = sizes(LOOKED_AT, 64 << 20, tmp_path)
    assert 5_000 < small < 19_000 and 500_000 < large < 1_900_000


def sizes(child: str, allowed: int, folder: Path, *more: str, items: int = 500) -> list[int]:
    """What a process says that looks at a small log, and then at a large one in so many bytes more than it had."""
    rng = np.random.default_rng(0)
    for name, rows in (("small", 20_000), ("large", 2_000_000)):
        table = {
            "user": rng.integers(0, 2_000, rows),
            "item": rng.integers(0, items, rows),
            "time": rng.integers(1_600_000_000, 1_602_000_000, rows),
            "click": rng.integers(0, 2, rows),
        }
        pd.DataFrame(table).to_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.yaml").write_text(f"events: {name}.parquet\nlabel: click\naction: [click]\n")
        open_dataset(str(folder / f"{name}.yaml"), DataRoots(None, folder / "cache"))
    command = [sys.executable, "-c", child, str(folder), str(allowed), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [int(line.split()[1]) for line in done.stdout.splitlines()]
