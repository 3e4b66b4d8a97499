"""Where records lie and how they get there whole: temporary file, fsync, rename.

A cell's folder is named by its settings and by its data, <config hash>-<data hash>: runs on changed data lie beside earlier
ones, none takes another's place.

- <root>/runs/<dataset>@<split>/<model>/<cell>/seed-<n>.json: the record, committed
- the same with .scores.npz: its scores of the test rows, committed too; with .safetensors: its weights, not committed
- <root>/runs/<dataset>@<split>/<model>/<cell>.zip: records and scores of a cell in one file instead, see run_files.py
- <root>/rows/<dataset>@<split>/<hash>.parquet: test rows, shared by runs; not committed, because they are the data's
- <root>/checkpoints/, the same path with .pt: while a cell runs
- <root>/boards/<dataset>@<split>[+<variant>]/: tables and figures of runs that can stand side by side, see view.py
- <root>/streams/, folders of the same names: what passes through time took to reach a quality
- <root>/sweeps/ and <root>/tuned/: see sweeps.py
- <root>/studies/<name>/: of a study; a store of its own for its runs, and <dataset>@<split>/ with its table and figures
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..atomic import sync, temporary, tidy
from ..errors import UserError, why
from ..evaluation import scores
from ..identity import short_hash
from . import run_files
from .schema import Identity, OtherVersion, RunRecord, from_json, to_json

LAYOUT = "runs/<dataset>@<split>/<model>/<cell>/seed-<n>.json, or such cells packed as <cell>.zip"
"""Of records, below the folder of a store, as errors name it."""


def safe_name(name: str) -> str:
    """A file name from a name that a user chose: different names stay different."""
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".")[:80]
    return safe if safe == name and name else f"{safe or '_'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def place_name(dataset: str, split: str) -> str:
    """The folder name of a data set under a split."""
    return f"{safe_name(dataset)}@{safe_name(split)}"


def variant_name(changed: Mapping[str, Any]) -> str:
    """How a folder name tells data settings that differ from the defaults: `history_length=20+time=none`; empty if none does."""
    text = "+".join(f"{key}={value}" for key, value in sorted(changed.items()))
    safe = re.sub(r"[^A-Za-z0-9._+=,-]", "_", text)
    return safe if safe == text and len(text) <= 80 else f"{safe[:70]}-{short_hash(dict(changed), 8)}"


@dataclass(frozen=True)
class Store:
    """All records below one folder."""

    root: Path

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def record_path(self, identity: Identity) -> Path:
        """As are all paths of a run's files: where it lies while it is not packed, see run_files.py."""
        return self.runs / self._folder(identity) / f"seed-{identity.seed}.json"

    def scores_path(self, identity: Identity) -> Path:
        return self.record_path(identity).with_suffix(".scores.npz")

    def rows_path(self, identity: Identity, rows_hash: str) -> Path:
        return self.root / "rows" / place_name(identity.dataset, identity.split) / f"{safe_name(rows_hash)}.parquet"

    def weights_path(self, identity: Identity) -> Path:
        return self.record_path(identity).with_suffix(".safetensors")

    def checkpoint_path(self, identity: Identity) -> Path:
        return self.root / "checkpoints" / self._folder(identity) / f"seed-{identity.seed}.pt"

    def board_folder(self, place: str) -> Path:
        """Of a group of runs, see view.View.place."""
        return self.root / "boards" / place

    def stream_folder(self, place: str) -> Path:
        """Of passes through time, as `board_folder`."""
        return self.root / "streams" / place

    def of_study(self, name: str) -> Store:
        """Where the runs of a study lie: its settings enter no board."""
        return Store(self.root / "studies" / name)

    def study_folder(self, dataset: str, split: str) -> Path:
        """Table and figures of the study whose runs lie here."""
        return self.root / place_name(dataset, split)

    def _folder(self, identity: Identity) -> Path:
        return Path(place_name(identity.dataset, identity.split)) / safe_name(identity.model) / safe_name(identity.cell)

    def check_writable(self) -> None:
        """Raise a UserError if nothing can be stored here: before hours of training, not after. What killed runs were writing
        is taken away."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tidy(self.root, below=True)
            with temporary(self.root) as file:
                file.write_bytes(b"-")
        except OSError as error:
            raise unwritable(self.root, error) from None

    def write(self, record: RunRecord, predictions: pd.DataFrame | None, weights: bytes | None = None) -> None:
        """Store a run: the record last, so that one that exists is complete and belongs to the files beside it.

        Args:
            predictions: see evaluation/evaluator.py; scores are `scores.rounded`.

        Raises:
            UserError: the folder cannot be written (full disk, no rights); nothing half-written stays behind.
        """
        path, table = self.record_path(record.identity), self.scores_path(record.identity)
        model = self.weights_path(record.identity)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if run_files.is_packed(path) or run_files.is_packed(table):
                run_files.unpack(path.parent)
            with (
                temporary(path.parent) as new_record,
                temporary(path.parent) as new_table,
                temporary(path.parent) as new_model,
            ):
                new_record.write_text(to_json(record), encoding="utf-8")
                if predictions is not None:
                    rows, kept = scores.split(predictions)
                    rows_hash = self.keep_rows(record.identity, rows)
                    with new_table.open("wb") as file:
                        np.savez_compressed(file, allow_pickle=False, rows=np.array(rows_hash), **kept)
                new_model.write_bytes(weights or b"")
                sync(new_record, new_table, new_model)
                # An older record must at no moment stand beside newer files.
                path.unlink(missing_ok=True)
                for new, old, given in ((new_table, table, predictions), (new_model, model, weights)):
                    if given is None:
                        old.unlink(missing_ok=True)
                    else:
                        os.replace(new, old)
                os.replace(new_record, path)
        except OSError as error:
            raise unwritable(path.parent, error) from None

    def keep_rows(self, identity: Identity, rows: pd.DataFrame) -> str:
        """Store the test rows of a run unless another run did; their hash."""
        rows_hash = scores.rows_hash(rows)
        path = self.rows_path(identity, rows_hash)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary(path.parent) as new:
                rows.to_parquet(new, index=False)
                sync(new)
                os.replace(new, path)
        return rows_hash

    def records(self, dataset: str | None = None, split: str | None = None) -> list[RunRecord]:
        """All records, or those of a data set, a split or both; ordered by identity, seeds by number.

        Raises:
            UserError: a record or the zip of its cell is broken, or it is of another schema version, or does not lie where its
                identity says.
        """
        paths = (path for folder in self.cells(dataset, split) for path in run_files.records(folder))
        found = (self.load(path) for path in paths if path.name.startswith("seed-"))
        return sorted(found, key=lambda record: dataclasses.astuple(record.identity))

    def cells(self, dataset: str | None = None, split: str | None = None) -> list[Path]:
        """The folders of all cells, or of those of a data set, a split or both, whether their files are packed or not."""
        places = self.runs.glob(f"{safe_name(dataset) if dataset else '*'}@{safe_name(split) if split else '*'}")
        return [folder for place in sorted(places) for folder in run_files.cells(place) if folder.parents[1] == place]

    def load(self, path: Path) -> RunRecord:
        """The record of this path.

        Raises:
            UserError: as `records`.
        """
        record = self._load(path)
        home = self.record_path(record.identity)
        if home != path:
            raise UserError(
                f"record {run_files.shown(path)} was copied or renamed: by its content it belongs at {home}; "
                "delete it or move it there"
            )
        return record

    def _load(self, path: Path) -> RunRecord:
        try:
            text = run_files.read(path).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
            where = run_files.shown(path)
            raise UserError(f"record {where} cannot be read ({reason}); delete it and run the cell again") from None
        return from_json(text, run_files.shown(path))

    def has_scores(self, identity: Identity) -> bool:
        return run_files.exists(self.scores_path(identity))

    def finished(self, identity: Identity) -> RunRecord | None:
        """The record of a cell that need not run again: status ok, the same identity, of this schema, scores there.

        Raises:
            UserError: there is a record but it is broken.
        """
        path = self.record_path(identity)
        if not run_files.exists(path):
            return None
        try:
            record = self._load(path)
        except OtherVersion:
            return None
        whole = record.status == "ok" and self.has_scores(identity)
        return record if whole and record.identity == identity else None


def stores_below(root: Path) -> list[Store]:
    """Of a folder and of all folders below it, those that hold runs, ordered by path."""
    return [Store(path.parent) for path in sorted(root.rglob("runs")) if path.is_dir()]


def unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder} cannot be written ({why(error)}); free some space or choose another --results")
