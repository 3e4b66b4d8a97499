"""The table of studies. A name points to a module and its study; nothing is imported before it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import unknown_name

if TYPE_CHECKING:
    from .grid import Study


@dataclass(frozen=True)
class Entry:
    """What `rankbench ls studies` shows without importing torch."""

    study: str
    """`module:NAME` beside this file."""
    summary: str


STUDIES: dict[str, Entry] = {
    "heads": Entry("heads:STUDY", "scoring networks on a generative backbone, with DIN as the reference"),
    "ablation": Entry("ablation:STUDY", "HSTU one switch at a time, and the way from SASRec to HSTU"),
    "negatives": Entry("negatives:STUDY", "sources and rates of negatives: quality, calibration, cost; the test is frozen"),
    "embedding": Entry("embedding:STUDY", "quality by the size of embedding tables"),
    "history": Entry("history:STUDY", "quality by the length of the history"),
    "identity": Entry("identity:STUDY", "what the user's id brings, by model and by how often training saw the user"),
    "time": Entry("time:STUDY", "what time information is worth to each model"),
    "scaling": Entry("scaling:STUDY", "loss by depth, width, embeddings and data, with fits and their intervals"),
}


def find(name: str) -> Study:
    """A study by its name.

    Raises:
        UserError: no such study (the nearest name is given).
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    module, _, attribute = STUDIES[name].study.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)
