"""The table of studies. A name is that of a module in questions/, - written as _; nothing is imported before it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..errors import unknown_name

if TYPE_CHECKING:
    from .grid import Study

STUDIES: dict[str, str] = {
    "heads": "scoring networks on a generative backbone, with DIN as the reference",
    "ablation": "HSTU one switch at a time, and the way from SASRec to HSTU",
    "negatives": "sources and rates of negatives: quality, calibration, cost; the test is frozen",
    "losses": "bce, pairwise, listwise, joint and jrc: which loss ranks within a request, and its cost in calibration",
    "within-request": "what lets HSTU rank within a request: layout, target attention, heads, item fields; DIN beside it",
    "embedding": "quality by the size of embedding tables",
    "long-history": "quality, seconds and memory by the length of the history",
    "identity": "what the user's id brings, by model and by how often training saw the user",
    "behaviours": "what other behaviours bring: in histories, told apart or not, and as further labels",
    "domains": "one model for each domain or one for all, with rankers made for several; small domains apart, transfer",
    "side-information": "what features of items and users bring, summed or side by side, and what they cost",
    "cold-start": "ids, features and semantic ids, by events of the item and of the user",
    "time": "what time information is worth to each model",
    "steps": "what data engineering changes: k-core, repeats, bots, short histories, fewer users",
    "shift": "test window by window: trained once or again before each window",
    "scaling": "loss by depth, width, embeddings and data, with fits and their intervals",
}


def find(name: str) -> Study:
    """A study by its name.

    Raises:
        UserError: no such study (the nearest name is given).
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return importlib.import_module(f".questions.{name.replace('-', '_')}", __package__).STUDY
