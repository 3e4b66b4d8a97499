"""The event log: a data set as memory-mapped columns, sorted by (user, time, source order), with user offsets.

Users, items and every categorical value are codes 0.. in order of first appearance; dictionaries give the strings back.
Codes know nothing of training and test: which of them a model may know is decided per split (vocabulary.py).
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

from ..errors import UserError
from ..typed import as_json, read
from .cleaning import CleaningReport, CleanLog
from .content import ContentFacts, Owner, content_hash
from .sources.schema import Feature, SourceFile


class Multi(NamedTuple):
    """Codes of a multi-valued feature: row r has values[offsets[r]:offsets[r + 1]]."""

    values: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class LogMeta:
    """Facts about the log, kept as JSON beside the columns."""

    name: str
    events: int
    users: int
    items: int
    content: ContentFacts
    content_hash: str
    """64 hex digits over all that a model or a metric can see of the log."""
    default_split: str
    files: tuple[SourceFile, ...]
    cleaning: CleaningReport
    licence: str
    citation: str
    bayes_auc: float | None
    notes: tuple[str, ...]

    @property
    def features(self) -> tuple[tuple[Owner, Feature], ...]:
        """Side information and its owners, in the order of the model's fields."""
        return self.content.features

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the further labels."""
        return tuple(label.name for label in self.content.labels)

    @property
    def utc_offset_hours(self) -> float:
        """Of hour of the day and weekday."""
        return self.content.utc_offset_hours


@dataclass(frozen=True)
class EventLog:
    """A converted data set. Columns are opened on first use and stay on disk; what is not used costs no memory."""

    folder: Path
    meta: LogMeta

    def column(self, name: str) -> np.ndarray:
        """A column by its file name, memory-mapped read-only."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    @functools.cached_property
    def user_offsets(self) -> np.ndarray:
        """int64 [users + 1]: events of user u are user_offsets[u]:user_offsets[u + 1]."""
        return self.column("user_offsets")

    @functools.cached_property
    def item(self) -> np.ndarray:
        """int32 [events]: item code."""
        return self.column("item")

    @functools.cached_property
    def time(self) -> np.ndarray:
        """int64 [events]: milliseconds since 1970, never decreasing within a user."""
        return self.column("time")

    @functools.cached_property
    def label(self) -> np.ndarray:
        """uint8 [events]: 0 or 1."""
        return self.column("label")

    def further_label(self, name: str) -> np.ndarray:
        """uint8 [events]: a further outcome, one of meta.labels."""
        return self.column(f"label.{name}")

    @functools.cached_property
    def positive_only(self) -> bool:
        """Every event has label 1: there is nothing to rank until negatives are sampled."""
        return bool(np.asarray(self.label).min())

    @functools.cached_property
    def action(self) -> np.ndarray:
        """int32 [events]: code of what the user did."""
        return self.column("action")

    def user_of(self, event: np.ndarray) -> np.ndarray:
        """int64 user codes of event positions."""
        return np.searchsorted(self.user_offsets, event, side="right") - 1

    @functools.cached_property
    def user(self) -> np.ndarray:
        """int32 [events]: user code of every event (kept in memory; for a batch use `user_of`)."""
        return np.repeat(np.arange(self.meta.users, dtype=np.int32), np.diff(self.user_offsets))

    def dictionary(self, name: str) -> np.ndarray:
        """Strings of the codes of `user`, `item`, `action` or a categorical feature."""
        return feather.read_table(self.folder / f"{name}.dictionary.feather").column("value").to_numpy(zero_copy_only=False)

    def feature(self, name: str) -> np.ndarray | Multi:
        """Codes (int32) or numbers (float32, NaN = missing), one row per user, item or event as its owner says."""
        if (self.folder / f"feature.{name}.offsets.npy").exists():
            return Multi(self.column(f"feature.{name}"), self.column(f"feature.{name}.offsets"))
        return self.column(f"feature.{name}")


def write_log(clean: CleanLog, report: CleaningReport, folder: Path) -> EventLog:
    """Convert a cleaned data set into `folder`, which appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        meta = _write_columns(clean, report, building)
        (building / "meta.json").write_text(as_json(meta), encoding="utf-8")
        try:
            os.replace(building, folder)
        except OSError:
            if not (folder / "meta.json").exists():  # another process was not faster: a real failure
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return open_log(folder)


def open_log(folder: Path) -> EventLog:
    """The log that was written into `folder`."""
    path = folder / "meta.json"

    def broken(what: str) -> UserError:
        return UserError(f"{path} {what}; delete the folder, it is made again from the source files")

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise broken(f"cannot be read ({error})") from None
    return EventLog(folder, read(LogMeta, text, broken))


def _write_columns(clean: CleanLog, report: CleaningReport, folder: Path) -> LogMeta:
    events, schema = clean.events, clean.schema
    user, users = pd.factorize(events["user"])
    # lexsort is stable: events of one user and one time stay in source order.
    order = np.lexsort((events["time"].to_numpy(), user))
    item, items = pd.factorize(events["item"])
    action, actions = pd.factorize(events["action"])

    def save(name: str, values: np.ndarray, dtype: type) -> None:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values, dtype=dtype))

    save("user_offsets", np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(users)))]), np.int64)
    save("item", item[order], np.int32)
    save("time", events["time"].to_numpy()[order], np.int64)
    save("label", events["label"].to_numpy()[order], np.uint8)
    for label in schema.labels:
        save(f"label.{label.name}", events[f"label.{label.name}"].to_numpy()[order], np.uint8)
    save("action", action[order], np.int32)
    for name, values in (("user", users), ("item", items), ("action", actions)):
        _save_dictionary(folder, name, np.asarray(values, dtype=object))

    tables: list[tuple[Owner, tuple[Feature, ...], pd.DataFrame | None]] = [
        ("user", schema.user_features, None if clean.users is None else clean.users.reindex(users)),
        ("item", schema.item_features, None if clean.items is None else clean.items.reindex(items)),
        ("context", schema.context_features, events.iloc[order] if schema.context_features else None),
    ]
    features: list[tuple[Owner, Feature]] = []
    for owner, owned, table in tables:
        for feature in owned:
            assert table is not None, f"{owner} features without a table"
            _save_feature(folder, feature, pd.Series(table[feature.column]))
            features.append((owner, feature))
    facts = ContentFacts(1, schema.label, schema.labels, schema.action, tuple(features), schema.utc_offset_hours)
    columns = {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}
    texts = [path.read_bytes().hex() for path in sorted(folder.glob("*.feather"))]
    return LogMeta(
        name=clean.name,
        events=len(events),
        users=len(users),
        items=len(items),
        content=facts,
        content_hash=content_hash(facts, columns, {"all": texts}),
        default_split=clean.default_split,
        files=clean.files,
        cleaning=report,
        licence=clean.licence,
        citation=clean.citation,
        bayes_auc=clean.bayes_auc,
        notes=clean.notes,
    )


def _save_dictionary(folder: Path, name: str, values: np.ndarray) -> None:
    strings = pa.array([str(value) for value in values], type=pa.string())
    feather.write_feather(pa.table({"value": strings}), folder / f"{name}.dictionary.feather", compression="zstd")


def _save_feature(folder: Path, feature: Feature, column: pd.Series) -> None:
    path = folder / f"feature.{feature.column}.npy"
    if feature.kind == "number":
        np.save(path, np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float32))
        return
    text = column.astype("string").fillna("")
    if feature.kind == "category":
        codes, values = pd.factorize(text)
        np.save(path, codes.astype(np.int32))
    else:
        rows = [value.split(feature.separator) if value else [] for value in text]
        parts = pd.Series([part for row in rows for part in row if part], dtype="string")
        lengths = np.array([sum(part != "" for part in row) for row in rows], dtype=np.int64)
        codes, values = pd.factorize(parts)
        np.save(path, codes.astype(np.int32))
        np.save(folder / f"feature.{feature.column}.offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    _save_dictionary(folder, f"feature.{feature.column}", np.asarray(values, dtype=object))
