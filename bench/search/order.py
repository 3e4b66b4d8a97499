"""What a search is asked for, as it lies in the storage: enough for a worker on any machine to join it without its command.

Paths in it (results, descriptions of tables, files of models of one's own) are absolute, and hold on every machine that shares
the file system under the same names. Device, threads and where published data lie are the worker's own.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .. import registry
from ..config import Settings
from ..data.sources import is_description
from ..errors import UserError
from ..typed import finite, read
from .budget import Budget

ORDER = "order"
"""Attribute of a study (of a trial, where each has its own): what is asked for."""

T = TypeVar("T")


@dataclass(frozen=True)
class SearchOrder:
    """The search of one model; an order that comes later under the same name takes its place."""

    model: str
    models: tuple[str, ...]
    """All of the command: what --search and --set may name."""
    settings: Settings
    search: tuple[str, ...]
    trials: int
    seconds: float | None
    seed: int
    prune: bool
    kernels: dict[str, str]
    results: str
    files: tuple[str, ...]
    """Of models of one's own."""

    @property
    def budget(self) -> Budget:
        return Budget(self.trials, math.inf if self.seconds is None else self.seconds)


def plain(order: Any) -> dict[str, Any]:
    """An order as attributes keep it."""
    return finite(dataclasses.asdict(order))


def order_of(cls: type[T], attribute: Any, where: str) -> T:
    """An order from its attribute.

    Raises:
        UserError: it is not one of this version's.
    """

    def broken(what: str) -> UserError:
        return UserError(f"the order of {where} {what}; it comes from another version of this program: give its command again")

    return read(cls, json.dumps(attribute), broken)


def from_anywhere(dataset: str) -> str:
    """A data set as every working directory finds it."""
    return str(Path(dataset).absolute()) if is_description(dataset) else dataset


def own_models() -> tuple[str, ...]:
    """Files of models of one's own that this process knows."""
    return tuple(str(Path(path).absolute()) for path in registry.own_files())


def settings_from_anywhere(settings: Settings) -> Settings:
    data = settings.data
    if "dataset" not in data:
        return settings
    return dataclasses.replace(settings, data={**data, "dataset": from_anywhere(str(data["dataset"]))})
