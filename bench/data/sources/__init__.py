"""The registry of data sets: a card and a lazily imported loader for each, and your own table by a YAML file."""

from __future__ import annotations

import dataclasses
import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError, unknown_name
from .equivalence import MARGIN
from .names import name_in, read_keys

if TYPE_CHECKING:
    from .schema import DataRoots, RawLog


@dataclass(frozen=True)
class DatasetCard:
    """What `rankbench ls datasets` shows, and where the loader is."""

    name: str
    summary: str
    licence: str
    default_split: str
    loader: str
    """`module:function` within this package; the function takes DataRoots and returns a RawLog."""
    margin: float = MARGIN
    """Up to which difference of a metric two models count as equivalent."""


DATASETS: dict[str, DatasetCard] = {
    card.name: card
    for card in (
        DatasetCard(
            "ml-100k",
            "MovieLens 100K: 100,000 ratings of 943 users, 1997-98; label rating >= 4",
            "GroupLens: research use, no redistribution",
            "global-time",
            "movielens:load_ml_100k",
        ),
        DatasetCard(
            "ml-1m",
            "MovieLens 1M: 1,000,209 ratings of 6,040 users, 2000-03; label rating >= 4",
            "GroupLens: research use, no redistribution",
            "global-time",
            "movielens:load_ml_1m",
        ),
        DatasetCard(
            "kuairand-pure",
            "KuaiRand-Pure: impressions of short videos with eight feedback signals, 2022; label is_click",
            "CC BY-SA 4.0",
            "global-time",
            "kuairand:load_kuairand_pure",
        ),
        DatasetCard(
            "taobao-userbehavior",
            "Taobao UserBehavior: views, carts, favourites, purchases, 2017; positives alone, negatives are sampled",
            "Alibaba Tianchi: research use",
            "global-time",
            "taobao:load_taobao",
        ),
        DatasetCard(
            "simulator",
            "Simulated log with planted effects and a known best AUC",
            "none needed: generated",
            "global-time",
            "simulator:load_simulator",
        ),
        DatasetCard(
            "simulator-target",
            "Simulated log whose planted effect only target-aware history models can find",
            "none needed: generated",
            "global-time",
            "simulator:load_simulator_target",
        ),
        DatasetCard(
            "simulator-behaviours",
            "Simulated log with a behaviour that predicts clicks and one that does not",
            "none needed: generated",
            "global-time",
            "simulated_behaviours:load",
        ),
        DatasetCard(
            "simulator-domains",
            "Simulated log of three domains: a large one, a small one that it helps, one that goes against both",
            "none needed: generated",
            "global-time",
            "simulated_domains:load",
        ),
        DatasetCard(
            "simulator-side-information",
            "Simulated log of many items whose features tell more than their ids can",
            "none needed: generated",
            "global-time",
            "simulated_side_information:load",
        ),
    )
}


SOURCES: dict[str, str] = {
    "simulator": "simulator:load_yaml",
    "simulator-behaviours": "simulated_behaviours:load_yaml",
    "simulator-domains": "simulated_domains:load_yaml",
    "simulator-side-information": "simulated_side_information:load_yaml",
}
"""What `source` in a YAML file may be -> what draws the log by its other keys."""


def load(name: str, roots: DataRoots) -> RawLog:
    """The data set of a registered name, or the one that a .yaml file describes.

    Raises:
        UserError: an unknown name, or whatever is wrong with the files.
    """
    if name in DATASETS:
        return _with_margin(_function(DATASETS[name].loader)(roots), DATASETS[name].margin)
    path = Path(name)
    if is_description(name):
        keys = read_keys(path)
        if "source" not in keys:
            return _function("table:load_table")(path, keys)
        if keys["source"] not in SOURCES:
            raise unknown_name(f"source in {path}", str(keys["source"]), SOURCES)
        settings = {key: value for key, value in keys.items() if key not in ("source", "name", "margin")}
        margin = keys.get("margin", MARGIN)
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < math.inf:
            raise UserError(f"data set file {path}: margin must be a number of at least 0, not {margin!r}")
        return _with_margin(_function(SOURCES[keys["source"]])(settings, name_in(path, keys)), float(margin))
    from .files import is_file

    if is_file(path):
        raise UserError(
            f"{path} is not a .yaml file: describe your own table in one that names its columns (events: {path.name}, ...)"
        )
    raise unknown_name("data set", name, DATASETS)


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
