"""A converted log read back as tables of texts, for tests of what conversion makes of raw rows."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rankbench.bench.data.cleaning import CleaningReport
from rankbench.bench.data.eventlog import EventLog, LogMeta, Multi, write_log
from rankbench.bench.data.sources.schema import Feature, RawLog, Schema, SourceFile


@dataclass(frozen=True)
class Tables:
    """What stands in a log, codes as the texts that they are."""

    name: str
    events: pd.DataFrame
    """user, item, time, label, label.<name>, action, context features, and role and request_id where the log has them."""
    users: pd.DataFrame | None
    """Index: id; of the users of the log, in their order."""
    items: pd.DataFrame | None
    schema: Schema
    """With the offset of the log."""
    files: tuple[SourceFile, ...]
    meta: LogMeta


def converted(raw: RawLog) -> tuple[Tables, CleaningReport]:
    """The log of a raw data set."""
    with tempfile.TemporaryDirectory() as folder:
        log = write_log(raw, Path(folder) / "log")
        return tables_of(log, raw), log.meta.cleaning


def tables_of(log: EventLog, raw: RawLog) -> Tables:
    events = {
        "user": log.dictionary("user")[log.user],
        "item": log.dictionary("item")[log.item],
        "time": np.array(log.time),
        "label": np.array(log.label),
        **{f"label.{name}": np.array(log.further_label(name)) for name in log.meta.labels},
        "action": log.dictionary("action")[log.action],
    }
    if log.declared is not None:
        events["role"] = np.array(log.declared)
    if log.request_id is not None:
        events["request_id"] = np.array(log.request_id)
    owned: dict[str, dict[str, object]] = {"user": {}, "item": {}, "context": events}
    for owner, feature in log.meta.features:
        owned[owner][feature.column] = _values(log, feature)
    users, items = (
        pd.DataFrame(owned[owner], index=pd.Index(log.dictionary(owner))) if owned[owner] else None for owner in ("user", "item")
    )
    schema = dataclasses.replace(raw.schema, utc_offset_hours=log.meta.utc_offset_hours)
    return Tables(log.meta.name, pd.DataFrame(events), users, items, schema, log.meta.files, log.meta)


def _values(log: EventLog, feature: Feature) -> object:
    values = log.feature(feature.column)
    if isinstance(values, Multi):
        texts = log.dictionary(f"feature.{feature.column}")
        bounds = zip(values.offsets[:-1], values.offsets[1:], strict=True)
        return [feature.separator.join(texts[values.values[begin:end]]) for begin, end in bounds]
    return np.array(values) if feature.kind == "number" else log.dictionary(f"feature.{feature.column}")[values]
