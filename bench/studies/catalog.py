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
    "embedding": Entry("embedding:STUDY", "quality by the size of embedding tables"),
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
