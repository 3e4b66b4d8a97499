"""The runs of a place, read once: records validated, scores decompressed, test rows opened and held against their hash."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DAMAGED, UserError
from ..evaluation import scores
from ..identity import active, short_hash
from . import run_files
from .schema import Identity, RunRecord
from .store import Store, place_name, variant_name

SHARED = (
    *("history_length", "time", "request_window", "feedback_delay", "test_history", "test_negatives", "test_negative_rate"),
    *("repeats", "exclude_future_positives", "behaviours", "pools", "outcomes"),
    *("side_information", "domain_field"),
)
"""Data settings that decide what a model may see and what it is asked; runs that stand side by side have the same."""

_OF_SAMPLING = ("repeats", "exclude_future_positives")
"""Those that matter to the test only where its negatives are sampled."""


def shared_settings(record: RunRecord) -> dict[str, Any]:
    """The settings SHARED of a run that are not inert in it."""
    data = active(record.config)["data"]
    exposed = data["test_negatives"] == "exposed"
    return {key: data[key] for key in SHARED if key in data and not (exposed and key in _OF_SAMPLING)}


@dataclass(frozen=True, eq=False)
class View:
    """Some runs of a store with what lies beside them."""

    store: Store
    records: tuple[RunRecord, ...]
    variant: str = ""
    """Of a group: what its place's name has behind data set and split, see `groups`."""
    superseded: bool = False
    """Of a group: its content or its split has changed since, and cells ran again."""
    _scores: dict[Identity, tuple[str, dict[str, np.ndarray]]] = field(default_factory=dict, repr=False, compare=False)
    _rows: dict[Path, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, store: Store, dataset: str | None = None, split: str | None = None) -> View:
        """All runs, or those of a data set, a split or both.

        Raises:
            UserError: a record is broken, of another schema version, or does not lie where its identity says.
        """
        return cls(store, tuple(store.records(dataset, split)))

    def groups(self) -> list[View]:
        """Runs that can stand side by side: of one data set, one content, one split and one choice of SHARED.

        A group whose settings are the data set's own has no variant, another one is called after them. Where content or split
        changed, the group that ran last has the name, and earlier ones are called after their data besides.
        """
        found: dict[str, list[RunRecord]] = {}
        for record in self.records:
            identity = record.identity
            data = (identity.dataset, identity.split, identity.content_hash, identity.split_hash)
            found.setdefault(short_hash([*data, shared_settings(record)]), []).append(record)
        named: dict[tuple[str, str, str], list[tuple[str, list[RunRecord]]]] = {}
        for key, group in found.items():
            settings = shared_settings(group[0])
            changed = {name: settings[name] for name in settings if f"data.{name}" in group[0].changed}
            named.setdefault((group[0].identity.dataset, group[0].identity.split, variant_name(changed)), []).append((key, group))
        made = []
        for (_, _, variant), alike in named.items():
            alike.sort(key=lambda one: max(record.finished for record in one[1]), reverse=True)
            for at, (key, group) in enumerate(alike):
                suffix = "+".join(part for part in (variant, f"data-{key[:8]}" if at else "") if part)
                made.append(replace(self, records=tuple(group), variant=suffix, superseded=at > 0))
        return sorted(made, key=lambda one: (one.records[0].identity.dataset, one.records[0].identity.split, one.variant))

    @property
    def place(self) -> str:
        """The folder name of a group: data set, split, variant."""
        identity = self.records[0].identity
        return place_name(identity.dataset, identity.split) + (f"+{self.variant}" if self.variant else "")

    def has_scores(self, identity: Identity) -> bool:
        return self.store.has_scores(identity)

    def rows_hash(self, identity: Identity) -> str:
        """Of the test rows that the scores of a run are about."""
        return self._kept(identity)[0]

    def codes(self, identity: Identity) -> np.ndarray:
        """int16 [test rows]: the scores of a run as they are kept, see evaluation/scores.py; its rows need not be here.

        Raises:
            UserError: they are not there or cannot be read.
        """
        return self._kept(identity)[1]["score"]

    def missing_rows(self, identity: Identity) -> str | None:
        """The hash of the test rows that the scores of a run are about, where these rows are not here."""
        rows_hash = self.rows_hash(identity)
        return None if self.store.rows_path(identity, rows_hash).exists() else rows_hash

    def predictions(self, identity: Identity) -> pd.DataFrame:
        """The test predictions of a run: its rows with its scores; see evaluation/evaluator.py for the columns.

        Raises:
            UserError: a part is not there, cannot be read, or does not belong to the other.
        """
        rows_hash, kept = self._kept(identity)
        path = self.store.rows_path(identity, rows_hash)
        if path not in self._rows:
            self._rows[path] = _rows(path, rows_hash)
        if len(self._rows[path]) != len(kept["score"]):
            raise UserError(f"test rows {path} are not what their name says; delete the file and call again")
        return scores.join(self._rows[path], kept)

    def _kept(self, identity: Identity) -> tuple[str, dict[str, np.ndarray]]:
        if identity not in self._scores:
            self._scores[identity] = _scores(self.store.scores_path(identity), identity.model)
        return self._scores[identity]


def _rows(path: Path, rows_hash: str) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(
            f"test rows {path} are missing (data is not committed); rankbench board makes them again from the data set"
        ) from None
    except DAMAGED as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"test rows {path} cannot be read ({reason}); delete the file and call again") from None
    if missing := [name for name in scores.ROW if name not in rows]:
        raise UserError(f"test rows {path} lack the columns {', '.join(missing)}; delete the file and call again")
    if scores.rows_hash(rows) != rows_hash:
        raise UserError(f"test rows {path} are not what their name says; delete the file and call again")
    return rows


def _scores(path: Path, model: str) -> tuple[str, dict[str, np.ndarray]]:
    try:
        with np.load(io.BytesIO(run_files.read(path)), allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files if scores.is_score(name)}
            if "score" in kept:
                return str(file["rows"]), kept
            reason = "there is no score in it"
    except FileNotFoundError:
        raise UserError(f"scores {path} are missing; run {model} again to make them") from None
    except (*DAMAGED, KeyError) as error:
        reason = str(error).partition("\n")[0]
    raise UserError(f"scores {run_files.shown(path)} cannot be read ({reason}); delete them and run again")
