"""A cell, which is one experiment with one seed, and a benchmark as a list of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .. import registry
from ..config import DataConfig, Experiment, Settings, resolve
from ..contract import ModelInfo
from ..data.dataset import RankingData, resolved
from ..errors import UserError
from ..evaluation import evaluator
from ..identity import difference
from ..records.schema import Identity, Tuning


@dataclass(frozen=True)
class Cell:
    """One experiment with one seed."""

    experiment: Experiment
    default: Experiment
    """The same model on the same data set, nothing else asked for."""
    info: ModelInfo
    seed: int
    source: str
    """Where its data set is found: a registered name or the path of a YAML file."""
    tuning: Tuning | None = None
    """The sweep that found its settings."""
    content_hash: str = ""
    """Of the log and of the split, once they are known, see `resolved`."""
    split_hash: str = ""

    @property
    def name(self) -> str:
        return f"{self.info.name} seed {self.seed}"

    @property
    def changed(self) -> dict[str, Any]:
        """Settings that differ from the model's defaults."""
        return difference(self.default.as_dict(), self.experiment.as_dict())

    def resolved(self, data: RankingData) -> Cell:
        """With the settings of the data that were prepared for it: as it is hashed and recorded."""
        return dataclasses.replace(
            self,
            experiment=resolved_for(self.experiment, data.config, data),
            default=resolved_for(self.default, resolved(self.default.data, data.log), data),
            content_hash=data.log.meta.content_hash,
            split_hash=data.split.hash,
        )

    @property
    def identity(self) -> Identity:
        """Of a resolved cell."""
        return Identity(
            dataset=self.experiment.data.dataset,
            split=self.experiment.data.split,
            model=self.info.name,
            family=self.info.family,
            config_hash=self.experiment.hash,
            content_hash=self.content_hash,
            split_hash=self.split_hash,
            seed=self.seed,
        )


def resolved_for(experiment: Experiment, config: DataConfig, data: RankingData) -> Experiment:
    """With resolved settings of data and training."""
    train = experiment.train.resolved(evaluator.monitor(experiment.train, data))
    return dataclasses.replace(experiment, data=config, train=train)


def plan(models: tuple[str, ...], settings: Settings, seeds: int) -> list[Cell]:
    """All cells of a benchmark; every setting is checked before anything runs.

    Raises:
        UserError: a setting that does not exist, has a wrong value, or does nothing.
    """
    cells = []
    infos = {name: registry.info(name) for name in models}
    ignoring: dict[str, list[str]] = {key: [] for key in settings.train}
    for name, info in infos.items():
        experiment = resolve(info, settings)
        for key, reasons in ignoring.items():
            reasons.append(info.ignores(key, experiment.data.supervision))
        default = resolve(info, Settings(data={"dataset": experiment.data.dataset}))
        source, tuning = experiment.data.dataset, settings.tuning.get(name)
        cells += [Cell(experiment, default, info, seed, source, tuning) for seed in range(seeds)]
    for key, reasons in ignoring.items():
        if all(reasons):
            raise UserError(f"train.{key} does nothing: {reasons[0]}")
    return cells
