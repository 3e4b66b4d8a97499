"""What a sweep found: all trials of one model's search in one JSON, from which its figures are drawn, and its best settings.

- <root>/sweeps/<place>/<model>.json: the trials, committed; figures beside it
- <root>/sweeps/journal.log: Optuna's storage, unless another one is named; not committed
- <root>/tuned/<place>/<model>.yaml: the settings of the best trial, for `rankbench run --config tuned`
- <root>/checkpoints/sweeps/: while a trial runs
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..atomic import write_text
from ..errors import UserError
from ..evaluation.cards import METRICS
from ..typed import finite, parse, read, text_of
from .store import place_name, safe_name

VERSION = 3


@dataclass(frozen=True)
class Place:
    """Where models compete: a data set, a split, and what else the data settings change."""

    dataset: str
    split: str
    """The resolved name."""
    variant: str = ""
    """The data settings that differ from the defaults, see store.variant_name; empty if none does."""
    data_hash: str = ""
    """Of content and split, as Identity.data_hash: a search of other data is another search."""

    def __str__(self) -> str:
        return f"{self.dataset}@{self.split}{self._suffix}"

    @property
    def folder(self) -> str:
        return place_name(self.dataset, self.split) + self._suffix

    @property
    def _suffix(self) -> str:
        return (f"+{self.variant}" if self.variant else "") + (f"~{self.data_hash}" if self.data_hash else "")

    def sweep_path(self, root: Path, model: str) -> Path:
        return root / "sweeps" / self.folder / f"{safe_name(model)}.json"

    def tuned_path(self, root: Path, model: str) -> Path:
        return root / "tuned" / self.folder / f"{safe_name(model)}.yaml"

    def of_other_data(self, root: Path, model: str) -> list[Path]:
        """Searches of the model's settings here on what the data were before."""
        own = self.sweep_path(root, model)
        alike = dataclasses.replace(self, data_hash="").folder
        return sorted(path for path in (root / "sweeps").glob(f"{alike}~*/{own.name}") if path != own)

    def checkpoint_path(self, root: Path, model: str, config_hash: str, trial: int) -> Path:
        return root / "checkpoints" / "sweeps" / self.folder / safe_name(model) / f"{config_hash}-trial-{trial}.pt"


@dataclass(frozen=True)
class Trial:
    """One training with settings that the search proposed."""

    number: int
    """In the study; the order in which trials began."""
    state: Literal["complete", "pruned", "failed", "handed on", "surplus"]
    """handed on: its worker died or had no time left, a retry took over; surplus: not trained, another worker was faster. Neither
    counts."""
    value: float | None
    """The metric at its best epoch; null unless complete."""
    seconds: float
    """Of training, validation left out, as limits of time count it: on a CPU, CPU time by thread. A retry's contains what it took
    over."""
    epochs: int
    best_epoch: int
    reason: str | None
    """Why it failed or does not count, in one line."""
    retry_of: int | None
    params: dict[str, Any]
    """The settings searched over."""
    curve: tuple[float, ...]
    """The metric after each epoch; empty for a model without epochs."""
    cut: bool
    """A limit of time ended it: train.max_seconds or the search's budget. Longer training may have given another value."""

    @property
    def counts(self) -> bool:
        """Whether it is part of the budget."""
        return self.state in ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Axis:
    """What a parameter may be."""

    kind: Literal["real", "log", "whole", "choice"]
    """log: searched by factors. choice: no order among the values."""
    values: tuple[Any, ...]
    """All of a choice; otherwise the smallest and the largest."""


@dataclass(frozen=True)
class SweepRecord:
    """The search of one model's settings on one data set."""

    version: int
    study: str
    dataset: str
    split: str
    model: str
    family: str
    metric: str
    """Of validation, as in evaluation/cards.py: train.monitor."""
    seed: int
    """Of the proposals; every trial trains with seed 0."""
    budget_trials: int
    budget_seconds: float | None
    """Null: not limited."""
    settings: dict[str, Any]
    """What all trials share and what decides the study: data, split hash, fixed settings; by dotted key."""
    space: dict[str, Axis]
    defaults: dict[str, Any]
    """The model's own values of the parameters; the first trial."""
    trials: tuple[Trial, ...]

    @property
    def lower_is_better(self) -> bool:
        return METRICS[self.metric].better == "lower"

    @property
    def counted(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.trials if trial.counts)

    @property
    def seconds(self) -> float:
        return math.fsum(trial.seconds for trial in self.counted)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value; of equals the first."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        sign = 1 if self.lower_is_better else -1
        return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)

    @property
    def default_value(self) -> float | None:
        """The value of the model's defaults."""
        values = [trial.value for trial in self.trials if trial.state == "complete" and trial.params == self.defaults]
        return values[0] if values else None


@dataclass(frozen=True)
class Effort:
    """How much one model was searched, to be read beside another's: equal budgets are not equal searches."""

    model: str
    family: str
    trials: int
    """That count."""
    cut: float
    """Share of them that a limit of time ended."""
    pruned: float
    """Share of them that were ended because they were worse than most."""
    failed: float
    seconds: float
    """Of training in all of them, as Trial.seconds."""
    dimensions: int
    """Settings that are searched."""
    values_seen: float | None
    """Of the values of all discrete settings, the share that some trial had; null if all settings are continuous."""
    best_at: int | None
    """Which of the trials that count is the best, counted from 1; null if none is complete. Near the last one, more trials would
    perhaps have found more."""
    best_cut: bool
    """A limit of time ended the best trial; its tuned settings carry that limit."""


def effort(record: SweepRecord) -> Effort:
    """Of one model's search."""
    counted, best = record.counted, record.best
    discrete = {name: axis for name, axis in record.space.items() if axis.kind in ("choice", "whole")}
    there = sum(len(axis.values) if axis.kind == "choice" else axis.values[1] - axis.values[0] + 1 for axis in discrete.values())
    seen = sum(len({json.dumps(trial.params[name]) for trial in counted if trial.params}) for name in discrete)

    def share(trials: int) -> float:
        return trials / len(counted) if counted else 0.0

    return Effort(
        model=record.model,
        family=record.family,
        trials=len(counted),
        cut=share(sum(trial.cut for trial in counted)),
        pruned=share(sum(trial.state == "pruned" for trial in counted)),
        failed=share(sum(trial.state == "failed" for trial in counted)),
        seconds=record.seconds,
        dimensions=len(record.space),
        values_seen=seen / there if there else None,
        best_at=None if best is None else 1 + counted.index(best),
        best_cut=best is not None and best.cut,
    )


def write(record: SweepRecord, path: Path) -> None:
    """A trial a line, so that two versions can be compared."""
    plain = finite(dataclasses.asdict(record))
    trials = ",\n".join("  " + json.dumps(trial, allow_nan=False) for trial in plain.pop("trials"))
    head = json.dumps(plain, indent=1, allow_nan=False).removesuffix("\n}")
    write_text(path, f'{head},\n "trials": [\n{trials}\n ]\n}}\n')


def load(path: Path) -> SweepRecord:
    """The record in a file.

    Raises:
        UserError: it is not one of this version.
    """

    def broken(what: str) -> UserError:
        return UserError(f"sweep {path} {what}; delete it: rankbench sweep makes it again if it has the storage")

    text = text_of(path, broken)
    raw = parse(text, broken)
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise broken(f"has version {version}, this program reads {VERSION}")
    return read(SweepRecord, text, broken)
