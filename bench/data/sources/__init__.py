"""The registry of data sets: a card and a lazily imported loader for each, and your own table by a YAML file."""

from __future__ import annotations

import dataclasses
import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError, unknown_name
from .cards import DATASETS, DatasetCard
from .names import name_in, read_keys

if TYPE_CHECKING:
    from .schema import DataRoots, RawLog

__all__ = ["DATASETS", "DatasetCard"]


def load(name: str, roots: DataRoots) -> RawLog:
    """The data set of a registered name, or the one that a .yaml file describes.

    Raises:
        UserError: an unknown name, or whatever is wrong with the files.
    """
    if name in DATASETS:
        return _with_margin(_function(f"{DATASETS[name].loader}:load")(name, roots), DATASETS[name].margin)
    path = Path(name)
    if is_description(name):
        keys = read_keys(path)
        return _extended(path, keys, roots) if "source" in keys else _function("table:load_table")(path, keys)
    from .files import is_file

    if is_file(path):
        raise UserError(
            f"{path} is not a .yaml file: describe your own table in one that names its columns (events: {path.name}, ...)"
        )
    raise unknown_name("data set", name, DATASETS)


def _extended(path: Path, keys: dict[str, Any], roots: DataRoots) -> RawLog:
    """The data set that a YAML file takes from elsewhere, by its key `source`, with a name of its own, and margin and steps where
    it has them.

    Raises:
        UserError: a source that does not exist, a key that does nothing, or whatever is wrong with the source.
    """
    from ..steps.declared import read_steps

    margin = keys.get("margin")
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < math.inf):
        raise UserError(f"data set file {path}: margin must be a number of at least 0, not {margin!r}")
    settings = {key: value for key, value in keys.items() if key not in _OF_EXTENSIONS}
    card = DATASETS.get(str(keys["source"]))
    if card is not None and card.drawn:
        raw = _with_margin(_function(f"{card.loader}:load_yaml")(settings, name_in(path, keys)), card.margin)
    else:
        if settings:
            raise unknown_name(f"key beside `source` in {path}", next(iter(settings)), _OF_EXTENSIONS)
        source = source_of(str(path))
        if source is None:
            raise unknown_name(f"source in {path}", str(keys["source"]), DATASETS)
        raw = load(source, roots)
        raw = dataclasses.replace(raw, name=name_in(path, keys), variant_of=raw.variant_of or raw.name)
    if "steps" in keys:
        raw = dataclasses.replace(raw, steps=read_steps(keys["steps"], f"{path}: steps"))
    return raw if margin is None else _with_margin(raw, float(margin))


_OF_EXTENSIONS = ("source", "name", "margin", "steps")


def source_of(dataset: str) -> str | None:
    """The data set that a YAML file takes its rows from: a registered name, or another file by its path; None if it names none.

    Raises:
        UserError: the file names itself, by whatever way.
    """
    met, path = [Path(dataset)], Path(dataset)
    first: str | None = None
    while (source := _named_source(path)) is not None:
        first = first or source
        path = Path(source)
        if any(path.absolute() == one.absolute() for one in met):
            raise UserError(f"data set file {dataset}: its source leads back to {path}: name a data set with rows of its own")
        met.append(path)
    return first


def _named_source(path: Path) -> str | None:
    if not is_description(str(path)):
        return None
    from .files import is_file

    try:
        source = read_keys(path).get("source") if is_file(path) else None
    except UserError:
        return None  # the loader will say what is wrong
    if not isinstance(source, str):
        return None
    return source if source in DATASETS else str(path.parent / source) if is_description(source) else None


def is_description(dataset: str) -> bool:
    """Whether a data set is given by the YAML file that describes it, not by its name."""
    return dataset not in DATASETS and dataset.endswith((".yaml", ".yml"))


def name_of(dataset: str) -> str:
    """A data set's own name: of a YAML file what its key `name` says, else the file's stem; any other is a name already.

    Raises:
        UserError: the YAML file cannot be read, or declares a name that cannot be one.
    """
    return name_in(Path(dataset), read_keys(Path(dataset))) if is_description(dataset) else dataset


def files_behind(dataset: str) -> list[Path]:
    """The YAML file of a table and the files that it names, as far as they are there; whatever is wrong with it is no error."""
    from .files import files_of, is_file
    from .table_description import describe_table

    path = Path(dataset)
    if not is_file(path):
        return []
    try:
        described = describe_table(path, read_keys(path))
        config = described.config
        entries = ((key, getattr(config, key)) for key in ("events", "users", "items"))
        return [path, *(file for key, names in entries for file in files_of(path.parent, names, key) if is_file(file))]
    except UserError:
        return [path]  # a simulator, or the loader will say what is wrong


def _with_margin(raw: RawLog, margin: float) -> RawLog:
    return dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, margin=margin))


def _function(reference: str) -> Any:
    module, _, function = reference.partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), function)
