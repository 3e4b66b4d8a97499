"""What is killed: small commands that convert, train, search, ask, draw and pack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rankbench.bench.records import sweeps
from rankbench.bench.records.store import Store
from support import records
from support.pages import results
from support.sweeps import record as sweep_record
from support.tables import click_table


@dataclass(frozen=True)
class Scenario:
    """One command, and the folder in which it is given."""

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], object]
    """Fills an empty folder, of which every start has a copy."""
    exact: bool = False
    """All files are the same byte for byte; else those are left out that tell how long training took."""


def _table(rows: int) -> Callable[[Path], object]:
    return lambda folder: click_table(folder, rows)


def _runs(folder: Path) -> None:
    store = Store(folder / "out")
    for model, skill in (("din", 1.0), ("hstu", 1.1)):
        for seed in (0, 1):
            frame = records.predictions(skill, seed, users=20, rows=10)
            store.write(records.record(model, frame, seed), frame)


def _searched(folder: Path) -> None:
    for model in ("din", "hstu"):
        sweeps.write(sweep_record(model, 4), folder / "out" / "sweeps" / "toy@global-time" / f"{model}.json")


def _trained(*words: str, epochs: int = 2, batch: str = "size=64") -> tuple[str, ...]:
    """On the small table, with a checkpoint after almost every step."""
    lengths = (f"train.epochs={epochs}", f"train.patience={epochs}")
    settings = (*lengths, f"train.batch_{batch}", "train.checkpoint_seconds=0.001")
    assigned = (word for setting in settings for word in ("--set", setting))
    return (*words, "--dataset", "clicks.yaml", "--device", "cpu", "--quiet", "--results", "out", *assigned)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("conversion", ("data", "get", "clicks.yaml"), _table(20_000), exact=True),
    Scenario("training", _trained("run", "--models", "hstu", "--seeds", "1", epochs=3, batch="events=300"), _table(400)),
    Scenario("board", ("board", "--results", "out"), _runs, exact=True),
    Scenario("figures", ("sweep", "--redraw", "--results", "out"), _searched, exact=True),
    Scenario("report", ("report", "--results", "out"), lambda folder: results(folder / "out"), exact=True),
    Scenario("pack", ("pack", "--results", "out"), _runs, exact=True),
    Scenario("sweep", _trained("sweep", "--models", "din", "--trials", "3", "--no-prune"), _table(400)),
    Scenario("study", _trained("study", "time", "--models", "din", "--seeds", "1", "--jobs", "1", epochs=1), _table(400)),
    Scenario("run --jobs 2", _trained("run", "--models", "lr,din", "--seeds", "2", "--jobs", "2"), _table(400)),
)
