"""The registry of data sets: a card and a lazily imported loader for each, and your own table by a YAML file."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError, unknown_name

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
    )
}


def load(name: str, roots: DataRoots) -> RawLog:
    """The data set of a registered name, or the one that a .yaml file describes.

    Raises:
        UserError: an unknown name, or whatever is wrong with the files.
    """
    if name in DATASETS:
        return _function(DATASETS[name].loader)(roots)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        mapping = _read_yaml(path)
        if "source" not in mapping:
            return _function("table:load_table")(path, mapping)
        if mapping["source"] != "simulator":
            raise unknown_name(f"source in {path}", str(mapping["source"]), ["simulator"])
        return _function("simulator:load_yaml")({key: value for key, value in mapping.items() if key != "source"}, path.stem)
    if path.is_file():
        raise UserError(
            f"{path} is not a .yaml file: describe your own table in one that names its columns (events: {path.name}, ...)"
        )
    raise unknown_name("data set", name, DATASETS)


def name_of(dataset: str) -> str:
    """A data set's own name: of a registered one as it is, of a YAML file what its key `name` says, else the file's stem.

    Raises:
        UserError: the YAML file cannot be read.
    """
    path = Path(dataset)
    return str(_read_yaml(path).get("name") or path.stem) if path.suffix in (".yaml", ".yml") else dataset


def _function(reference: str) -> Any:
    module, _, function = reference.partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), function)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"data set file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"data set file {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"data set file {path} must hold keys such as 'events: events.csv', one a line")
    return content
