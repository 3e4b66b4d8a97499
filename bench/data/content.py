"""What a model or a metric can see of a log: the hash over it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .sources.schema import Feature, Label

CONVERTER_VERSION = 1
"""Raised by hand when conversion gives another log for the same rows: every identity that holds a content hash then changes."""

Owner = Literal["user", "item", "context"]


@dataclass(frozen=True)
class ContentFacts:
    """What was made of the source's columns; with the columns themselves it decides the content hash."""

    converter: int
    label: str
    """The rule, as `LabelRule.text` writes it, or `all`."""
    labels: tuple[Label, ...]
    actions: tuple[str, ...]
    """Columns whose combination is the action of an event."""
    features: tuple[tuple[Owner, Feature], ...]
    utc_offset_hours: float
    """Hour of the day and weekday are taken with this offset."""


def content_hash(facts: ContentFacts, columns: Mapping[str, np.ndarray], dictionaries: Mapping[str, Iterable[str]]) -> str:
    """64 hex digits: sha256 over the facts, every column (name, type, shape, values) and every dictionary (name, strings)."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(facts), sort_keys=True).encode())
    for name in sorted(columns):
        values = np.ascontiguousarray(columns[name])
        if values.dtype.kind == "f":  # there are many NaN
            values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
        digest.update(f"\0{name} {values.dtype.str} {values.shape}\0".encode())
        digest.update(values.data)
    for name in sorted(dictionaries):
        digest.update(f"\0{name}\0".encode())
        for text in dictionaries[name]:
            encoded_text = str(text).encode()
            digest.update(b"%d:%b" % (len(encoded_text), encoded_text))
    return digest.hexdigest()
