"""A run as an audit looks at it: its record, what the registry says of its model, its scores."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import registry
from ..config import DataConfig, Experiment, TrainConfig
from ..contract import ModelInfo
from ..errors import UserError
from ..records.schema import Cost, CurvePoint, Metrics, RunRecord
from ..records.view import View
from ..typed import finite, from_dict


@dataclass(frozen=True, eq=False)
class Run:
    """A record that was read."""

    record: RunRecord
    view: View
    """Of its store, through which scores and test rows are read once."""

    @property
    def where(self) -> str:
        return self.view.store.record_path(self.record.identity).relative_to(self.view.store.root).as_posix()

    @property
    def row(self) -> str:
        """All seeds of it are one row of a board."""
        return f"{self.record.identity.model}/{self.record.identity.config_hash}"

    @functools.cached_property
    def info(self) -> ModelInfo | None:
        """The model's card; None where the model is not in the registry, or needs a package that is not here."""
        try:
            return registry.info(self.record.identity.model)
        except UserError:
            return None

    @property
    def counted(self) -> bool:
        """A floor that counts: its scores follow from the data, so that they can be equal for all seeds and are made again."""
        return self.info is not None and self.info.fit == "counts" and self.info.family == "floor"

    @property
    def results(self) -> tuple[Metrics, Cost, tuple[CurvePoint, ...]]:
        """Of a finished run."""
        record = self.record
        assert record.metrics is not None and record.cost is not None and record.curve is not None, "status ok"
        return record.metrics, record.cost, record.curve

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """int16 [test rows]: the logits of its scores in steps, see evaluation/scores.py.

        Raises:
            UserError: they cannot be read.
        """
        return self.view.codes(self.record.identity)

    def experiment(self) -> Experiment:
        """What its config describes, read as settings are.

        Raises:
            UserError: a key or a value that the model does not have.
        """
        assert self.info is not None, "asked of known models alone"
        config, name = self.record.config, self.record.identity.model
        return Experiment(
            name,
            from_dict(DataConfig, config["data"], "config.data"),
            from_dict(TrainConfig, config["train"], "config.train"),
            from_dict(self.info.config, config["params"], "config.params"),
        )


def plain(value: Any) -> Any:
    """As it is read back from a file: lists for tuples."""
    return json.loads(json.dumps(finite(value)))
