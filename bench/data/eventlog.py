"""The event log: a data set as memory-mapped columns, sorted by user, time, request and item, with user offsets.

Users, items and every categorical value are codes 0.. in order of their sorted values (content.py), so that nothing depends on
the order of the source's rows; dictionaries give the strings back. Codes know nothing of training and test: which of them a model
may know is decided per split (vocabulary.py).
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from ..atomic import alone
from ..config import LogDefaults
from ..errors import UserError
from ..typed import as_json, read, text_of
from .cleaning import CleaningReport, check_rows, check_schema, with_offset
from .columns import Column, Computed, blocks, user_blocks
from .content import CONVERTER_VERSION, ContentFacts, Owner, content_hash
from .conversion.merge import TextFile
from .conversion.side import join
from .conversion.stream import BLOCK_ROWS, stream_columns
from .sources.labels import parse_label
from .sources.schema import ALL_POSITIVE, HISTORY, Domain, Feature, Label, RawLog, Schema, SourceFile
from .steps.declared import StepEffect


class Multi(NamedTuple):
    """Codes of a multi-valued feature: row r has values[offsets[r]:offsets[r + 1]]."""

    values: Column
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
    """64 hex digits over all that a model or a metric can see of the log; the same wherever, in whatever format and in whatever
    order of rows the source files lie."""
    default_split: str
    request_window: float
    """Seconds within which a user's events are one request unless settings say otherwise; 0: equal timestamps alone."""
    time_zone: str
    """IANA name of the zone in which dates are shown."""
    calendar: bool
    """False: times count from a start of the log's own."""
    margin: float
    """Up to which difference of a metric two models count as equivalent on these data."""
    domain: Domain | None
    """The context feature that says to which part of a service an event belongs."""
    files: tuple[SourceFile, ...]
    cleaning: CleaningReport
    licence: str
    citation: str
    bayes_auc: float | None
    notes: tuple[str, ...]
    steps: tuple[StepEffect, ...] = ()
    """The declared steps that left rows out after conversion, in their order."""

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
    def request_id(self) -> np.ndarray | None:
        """int32 [events]: number of the request that the source names, 0.. in order of the log; no two users share one. None if
        the source has no request ids."""
        return self.column("request_id") if (self.folder / "request_id.npy").exists() else None

    @functools.cached_property
    def declared(self) -> np.ndarray | None:
        """uint8 [events]: the role that the source gives each event, a code of ROLE_WORDS; None if it gives none."""
        return self.column("role") if (self.folder / "role.npy").exists() else None

    @functools.cached_property
    def asked(self) -> Column | None:
        """bool [events]: what can be an example; the rest is seen in histories alone. None: all events."""
        declared = self.declared
        if declared is None or not any((declared[block] == HISTORY).any() for block in blocks(self.meta.events)):
            return None
        return Computed(self.meta.events, lambda event: declared[event] != HISTORY)

    def example_labels(self) -> Iterator[np.ndarray]:
        """uint8: labels of the events that can be examples, in blocks."""
        for block in blocks(self.meta.events):
            label = np.asarray(self.label[block])
            yield label if self.asked is None else label[self.asked[block]]

    def further_shares(self, name: str) -> tuple[float, float]:
        """The share of events with a further label, and the same among those that can be examples."""
        found, of_events, of_examples, examples = self.further_label(name), 0, 0, 0
        for block in blocks(self.meta.events):
            positive = found[block]
            asked = positive if self.asked is None else positive[self.asked[block]]
            of_events += int(positive.sum())
            of_examples, examples = of_examples + int(asked.sum()), examples + len(asked)
        return of_events / self.meta.events, of_examples / examples

    @functools.cached_property
    def positive_only(self) -> bool:
        """Every example has label 1: there is nothing to rank until negatives are sampled."""
        return all(label.all() for label in self.example_labels())

    @functools.cached_property
    def action(self) -> np.ndarray:
        """int32 [events]: code of what the user did."""
        return self.column("action")

    @property
    def defaults(self) -> LogDefaults:
        """What `default` means in data settings."""
        window = None if self.request_id is not None else self.meta.request_window
        return LogDefaults(self.meta.default_split, window, self.positive_only)

    def user_of(self, event: np.ndarray) -> np.ndarray:
        """int64 user codes of event positions."""
        return np.searchsorted(self.user_offsets, event, side="right") - 1

    @property
    def user(self) -> Column:
        """int32 [events]: user code of every event."""
        return Computed(self.meta.events, lambda event: self.user_of(event).astype(np.int32))

    def users_of_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Events in blocks of whole users, and the user code of each: int64 [n]."""
        for users, events in user_blocks(self.user_offsets):
            count = np.diff(self.user_offsets[users.start : users.stop + 1])
            yield events, np.repeat(np.arange(users.start, users.stop), count)

    @property
    def near(self) -> Path:
        """Where large scratch files about the log go."""
        return self.folder.parent

    def dictionary(self, name: str) -> np.ndarray:
        """Strings of the codes of `user`, `item`, `action` or a categorical feature."""
        return np.concatenate([np.empty(0, dtype=object), *self.dictionary_blocks(name)])

    def dictionary_blocks(self, name: str) -> Iterator[np.ndarray]:
        """The same in parts, of which one is in memory at a time."""
        with pa.memory_map(str(self.folder / f"{name}.dictionary.feather")) as source:
            file = pa.ipc.open_file(source)
            for number in range(file.num_record_batches):
                yield file.get_batch(number).column("value").to_numpy(zero_copy_only=False)

    def feature(self, name: str) -> np.ndarray | Multi:
        """Codes (int32) or numbers (float32, NaN = missing), one row per user, item or event as its owner says."""
        if (self.folder / f"feature.{name}.offsets.npy").exists():
            return Multi(self.column(f"feature.{name}"), self.column(f"feature.{name}.offsets"))
        return self.column(f"feature.{name}")


def write_log(raw: RawLog, folder: Path, rows: int = BLOCK_ROWS) -> EventLog:
    """Convert a raw data set into `folder`, which appears complete or not at all.

    A conversion that was killed goes on where it was when the same rows are converted into the same folder again.

    Args:
        rows: that are held in memory at a time; they change nothing of the log.

    Raises:
        UserError: whatever is wrong with the rows or the tables.
    """
    resumed = not isinstance(raw.events, pd.DataFrame)  # of rows in memory nothing is known but their columns
    with complete_folder(folder, resumed) as building:
        if not (folder / "meta.json").exists():  # another process was not faster
            meta = _write(raw, building, rows)
            shutil.rmtree(building / "rows", ignore_errors=True)
            (building / "meta.json").write_text(as_json(meta), encoding="utf-8")
    return open_log(folder)


@contextlib.contextmanager
def complete_folder(folder: Path, resumed: bool = False) -> Iterator[Path]:
    """A folder to write a log into, which no other process does at the same time, and that becomes `folder` at the end, whole;
    nothing stays of one that fails.

    Args:
        resumed: what a process that was killed has written is still there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building, lock = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.lock")
    with alone(lock):
        if not resumed:
            shutil.rmtree(building, ignore_errors=True)
        building.mkdir(exist_ok=True)
        try:
            yield building
            try:
                os.replace(building, folder)
            except OSError:
                if not (folder / "meta.json").exists():  # another process was not faster: a real failure
                    raise
                shutil.rmtree(building)
        except Exception:  # what a killed or interrupted process has done stays
            shutil.rmtree(building, ignore_errors=True)
            raise


def forget_unfinished(logs: Path, name: str) -> None:
    """Take away what killed conversions of a data set have left that nobody will go on with: its log is there, perhaps of other
    files or settings than theirs.

    Args:
        logs: the folder of all logs, which is called by their names, see logs.py.
    """
    unfinished = re.compile(rf"(\.{re.escape(name)}-[0-9a-f]{{16}})\.(part|lock)")
    stems = {found[1] for path in logs.iterdir() if (found := unfinished.fullmatch(path.name))}
    for stem in stems:
        with contextlib.suppress(BlockingIOError), alone(logs / f"{stem}.lock", wait=False):
            shutil.rmtree(logs / f"{stem}.part", ignore_errors=True)


def open_log(folder: Path) -> EventLog:
    """The log that was written into `folder`."""
    path = folder / "meta.json"

    def broken(what: str) -> UserError:
        return UserError(f"{path} {what}; delete the folder, it is made again from the source files")

    return EventLog(folder, read(LogMeta, text_of(path, broken), broken))


def _write(raw: RawLog, folder: Path, rows: int) -> LogMeta:
    check_schema(raw)
    found = stream_columns(raw, folder, rows)
    raw, unread, dictionaries = found.raw, dict(found.screened.unread), dict(found.dictionaries)
    if found.rows_read == 0:
        raise UserError(f"{raw.name} has no rows")
    users, items = (
        join(raw, "user", dictionaries["user"], found.events, unread, folder),
        join(raw, "item", dictionaries["item"], found.events, unread, folder),
    )
    dictionaries |= users.texts | items.texts
    report = CleaningReport(
        rows_read=found.rows_read,
        **found.screened.faults,
        repeated=found.repeated,
        conflicting=found.conflicting,
        rows_kept=found.rows_kept,
        sorted_by_time=found.screened.sorted_by_time,
        users_without_features=users.absent,
        items_without_features=items.absent,
        unread_numbers=tuple((name, count) for name, count in unread.items() if count),
        left_out=raw.left_out,
    )
    label = np.load(folder / "label.npy", mmap_mode="r")
    asked = np.load(folder / "role.npy", mmap_mode="r") != HISTORY if found.screened.declares_roles else None
    labels = np.bincount(label if asked is None else label[asked], minlength=2)
    check_rows(raw, report, np.flatnonzero(labels).tolist(), int(labels.sum()))
    facts = facts_of(with_offset(raw.schema, found.screened.first_time, raw.name))
    for name, values in dictionaries.items():
        file = TextFile(folder / f"{name}.dictionary.feather", compression="zstd")
        for texts in values.blocks():
            file.write(pa.array(texts, type=pa.large_string()))
        file.close()
    columns = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    return LogMeta(
        name=raw.name,
        events=found.rows_kept,
        users=len(dictionaries["user"]),
        items=len(dictionaries["item"]),
        content=facts,
        content_hash=content_hash(facts, columns, dictionaries),
        request_window=raw.schema.request_window,
        margin=raw.schema.margin,
        domain=raw.schema.domain,
        time_zone=raw.schema.time_zone,
        calendar=raw.schema.calendar,
        default_split=raw.default_split,
        files=raw.files,
        cleaning=report,
        licence=raw.licence,
        citation=raw.citation,
        bayes_auc=raw.bayes_auc,
        notes=raw.notes,
    )


def facts_of(schema: Schema) -> ContentFacts:
    """What the content hash holds beside the columns."""
    owned: tuple[tuple[Owner, tuple[Feature, ...]], ...] = (
        ("user", schema.user_features),
        ("item", schema.item_features),
        ("context", schema.context_features),
    )
    return ContentFacts(
        converter=CONVERTER_VERSION,
        label=schema.label if schema.label == ALL_POSITIVE else parse_label(schema.label).text,
        labels=tuple(Label(label.name, parse_label(label.rule).text) for label in schema.labels),
        actions=schema.action,
        features=tuple((owner, feature) for owner, features in owned for feature in features),
        utc_offset_hours=schema.utc_offset_hours or 0.0,
    )
