"""Where records lie and how they get there whole: temporary file, fsync, rename.

    <root>/runs/<dataset>@<split>/<model>/<config hash>/seed-<n>.json          committed
    <root>/runs/<dataset>@<split>/<model>/<config hash>/seed-<n>.predictions.parquet
    <root>/checkpoints/...                                                     the same path, while a cell runs
    <root>/boards/<dataset>@<split>/                                           tables and figures
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import UserError
from .schema import SCHEMA_VERSION, Identity, RunRecord, from_json, to_json


def _safe(name: str) -> str:
    """A file name from a name that a user chose."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".") or "_"


@dataclass(frozen=True)
class Store:
    """All records below one folder."""

    root: Path

    def record_path(self, identity: Identity) -> Path:
        return self.root / "runs" / self._folder(identity) / f"seed-{identity.seed}.json"

    def predictions_path(self, identity: Identity) -> Path:
        return self.record_path(identity).with_suffix(".predictions.parquet")

    def checkpoint_path(self, identity: Identity) -> Path:
        return self.root / "checkpoints" / self._folder(identity) / f"seed-{identity.seed}.pt"

    def board_folder(self, dataset: str, split: str) -> Path:
        return self.root / "boards" / f"{_safe(dataset)}@{_safe(split)}"

    def _folder(self, identity: Identity) -> Path:
        return Path(f"{_safe(identity.dataset)}@{_safe(identity.split)}") / _safe(identity.model) / identity.config_hash

    def write(self, record: RunRecord, predictions: pd.DataFrame | None) -> None:
        """Store a run: predictions first, so that a record that exists is complete.

        Raises:
            UserError: the folder cannot be written (full disk, no rights); nothing half-written stays behind.
        """
        path = self.record_path(record.identity)
        if predictions is not None:
            _atomically(path.with_suffix(".predictions.parquet"), lambda temporary: predictions.to_parquet(temporary, index=False))
        text = to_json(record)
        _atomically(path, lambda temporary: Path(temporary).write_text(text))

    def records(self, dataset: str | None = None, split: str | None = None) -> list[RunRecord]:
        """All records, or those of a data set and split, in the order of their paths."""
        folder = "*" if dataset is None or split is None else f"{_safe(dataset)}@{_safe(split)}"
        paths = sorted((self.root / "runs").glob(f"{folder}/*/*/seed-*.json"))
        return [from_json(path.read_text(), str(path)) for path in paths]

    def boards(self) -> list[tuple[str, str]]:
        """The (data set, split) pairs that have records."""
        return sorted({(record.identity.dataset, record.identity.split) for record in self.records()})

    def predictions(self, identity: Identity) -> pd.DataFrame:
        """The stored predictions of a run.

        Raises:
            UserError: they are not there or cannot be read.
        """
        path = self.predictions_path(identity)
        if not path.exists():
            raise UserError(f"predictions {path} are missing (they are not committed); run {identity.model} again to make them")
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise UserError(f"predictions {path} cannot be read ({str(error).splitlines()[0]}); delete them and run again") from None

    def finished(self, identity: Identity, split_hash: str) -> RunRecord | None:
        """The record of a cell that need not run again: status ok, same configuration, split, schema, predictions there.

        Raises:
            UserError: there is a record but it is broken.
        """
        path = self.record_path(identity)
        if not path.exists() or not self.predictions_path(identity).exists():
            return None
        record = from_json(path.read_text(), str(path))
        same = record.identity == identity and record.data.split_hash == split_hash and record.schema_version == SCHEMA_VERSION
        return record if same and record.status == "ok" else None


def _atomically(path: Path, write: Callable[[str], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        os.close(handle)
        try:
            write(temporary)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path} cannot be written ({reason}); free some space or choose another --results") from None
