"""A log without the rows that its steps leave out: the same columns, filtered, and dictionaries of what is left.

A log is converted once; each declared list of steps makes another log of it, with a content hash of its own. Columns are
filtered in blocks; in memory are some numbers a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from ...atomic import temporary_folder
from ...errors import UserError
from ...typed import as_json
from ..content import content_hash, order_of_texts
from ..conversion.stream import BLOCK_ROWS, GrowingColumn
from ..eventlog import EventLog, Multi, complete_folder, open_log
from ..sources.schema import HISTORY
from ..splits import KNOWN, TRAIN, make_split
from ..visibility import Requests
from .declared import LogSize, Step, StepEffect, in_words
from .rules import Rows, kept


def apply_steps(
    log: EventLog, steps: Sequence[Step], requests_of: Callable[[EventLog], Requests], folder: Path, name: str | None = None
) -> EventLog:
    """The log after one step after the other, written into `folder`, which appears complete or not at all.

    The first step on training rows fixes the log's default split as it then is: the roles become declared ones, so that
    validation and test stay what they were.

    Args:
        requests_of: the requests of a log under its own settings.
        name: of the new log; None for that of the old one.

    Raises:
        UserError: a step leaves nothing to learn from, or the log cannot be split.
    """
    log = dataclasses.replace(log, meta=dataclasses.replace(log.meta, name=name or log.meta.name))
    with temporary_folder(folder.parent) as scratch:
        for at, step in enumerate(steps):
            target = folder if at == len(steps) - 1 else scratch / str(at)
            log = _apply(log, step, requests_of, target)
    return log


def _apply(log: EventLog, step: Step, requests_of: Callable[[EventLog], Requests], folder: Path) -> EventLog:
    roles, looked_at = None, np.ones(log.meta.events, dtype=bool)
    if step.rows == "training":
        split = make_split(log, "default", requests_of(log)).role
        looked_at = (split == TRAIN) | (split == KNOWN)
        roles = split if log.asked is None else np.where(log.asked[:], split, HISTORY)
        roles = np.where(roles == KNOWN, HISTORY, roles).astype(np.uint8)
    keep = np.ones(log.meta.events, dtype=bool)
    at = np.flatnonzero(looked_at)
    rows = Rows(log.user[at], np.asarray(log.item)[at], log.time[at], np.asarray(log.label)[at], log.dictionary("user"))
    keep[at] = kept(step, rows)
    labels = log.label[keep & looked_at if log.asked is None else keep & looked_at & log.asked[:]]
    if len(labels) == 0 or (labels.min() == labels.max() and not log.positive_only):
        left = "no row" if len(labels) == 0 else f"only the label {labels[0]}"
        raise UserError(f"{log.meta.name}: the step {in_words(step)} leaves {left} of the rows that it looks at: ask for less")
    with complete_folder(folder) as building:
        columns, dictionaries = _Filter(log, keep, building).write(roles)
        before, after = _size(log, np.ones(log.meta.events, dtype=bool)), _size(log, keep)
        effects = (*log.meta.steps, StepEffect(step, before, after))
        words = [in_words(effect.step) for effect in effects]
        meta = dataclasses.replace(
            log.meta,
            events=after.rows,
            users=after.users,
            items=after.items,
            content_hash=content_hash(log.meta.content, columns, dictionaries, words),
            default_split=log.meta.default_split if roles is None else "declared",
            bayes_auc=None,
            steps=effects,
        )
        (building / "meta.json").write_text(as_json(meta), encoding="utf-8")
    return open_log(folder)


def _size(log: EventLog, keep: np.ndarray) -> LogSize:
    examples = keep if log.asked is None else keep & log.asked[:]
    return LogSize(
        rows=int(keep.sum()),
        users=len(np.unique(log.user[keep])),
        items=len(np.unique(np.asarray(log.item)[keep])),
        positive_rate=float(log.label[examples].mean()),
    )


class _Filter:
    """Writes the columns and dictionaries of some rows of a log."""

    def __init__(self, log: EventLog, keep: np.ndarray, folder: Path) -> None:
        self._log, self._keep, self._folder = log, keep, folder
        self._dictionaries: dict[str, np.ndarray] = {}

    def write(self, roles: np.ndarray | None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """All columns of the filtered log by their names, memory-mapped, and its dictionaries.

        Args:
            roles: declared ones of all rows, instead of the log's own.
        """
        log = self._log
        counts = np.bincount(log.user[self._keep], minlength=log.meta.users)
        np.save(self._folder / "user_offsets.npy", np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64))
        self._dictionaries["user"] = log.dictionary("user")[counts > 0]
        for name in ("time", "label", *(f"label.{label}" for label in log.meta.labels)):
            self._copy(name, log.column(name))
        declared = log.declared if roles is None else roles
        if declared is not None:
            self._copy("role", declared)
        if log.request_id is not None:
            self._renumbered("request_id", log.request_id)
        # Ids keep the order that sorted the log.
        self._coded("item", np.asarray(log.item), resorted=False)
        self._coded("action", np.asarray(log.action), resorted=False)
        owned = {"user": counts > 0, "item": np.bincount(log.item[self._keep], minlength=log.meta.items) > 0}
        for owner, feature in log.meta.features:
            self._feature(f"feature.{feature.column}", log.feature(feature.column), owned.get(owner, self._keep))
        for name, texts in self._dictionaries.items():
            strings = pa.array(texts, type=pa.large_string())
            feather.write_feather(pa.table({"value": strings}), self._folder / f"{name}.dictionary.feather", compression="zstd")
        return {path.stem: np.load(path, mmap_mode="r") for path in self._folder.glob("*.npy")}, self._dictionaries

    def _copy(self, name: str, column: np.ndarray, rows: np.ndarray | None = None, rank: np.ndarray | None = None) -> None:
        rows = self._keep if rows is None else rows
        target = GrowingColumn(self._folder / f"{name}.npy", column.dtype)
        for begin in range(0, len(column), BLOCK_ROWS):
            values = np.asarray(column[begin : begin + BLOCK_ROWS])[rows[begin : begin + BLOCK_ROWS]]
            target.append(values if rank is None else rank[values])
        target.close()

    def _renumbered(self, name: str, column: np.ndarray) -> None:
        """Numbers that never decrease, as they are, without gaps."""
        left = np.bincount(np.asarray(column)[self._keep], minlength=int(column[-1]) + 1) > 0
        self._copy(name, column, rank=(np.cumsum(left) - 1).astype(column.dtype))

    def _coded(self, name: str, codes: np.ndarray, resorted: bool, rows: np.ndarray | None = None) -> None:
        """Codes without those that no row has any more.

        Args:
            resorted: whether all that is left may be numbers, which are sorted as such.
        """
        texts = self._log.dictionary(name)
        used = np.bincount(codes[self._keep if rows is None else rows], minlength=len(texts)) > 0
        left = texts[used]
        order = order_of_texts(left) if resorted else np.arange(len(left))
        rank = np.zeros(len(texts), dtype=np.int32)
        rank[np.flatnonzero(used)[order]] = np.arange(len(left), dtype=np.int32)
        self._dictionaries[name] = left[order]
        self._copy(name, codes, rows, rank)

    def _feature(self, name: str, values: np.ndarray | Multi, rows: np.ndarray) -> None:
        if isinstance(values, Multi):
            lengths = np.diff(values.offsets)
            np.save(self._folder / f"{name}.offsets.npy", np.concatenate([[0], np.cumsum(lengths[rows])]).astype(np.int64))
            self._coded(name, np.asarray(values.values), True, np.repeat(rows, lengths))
        elif values.dtype.kind == "f":
            self._copy(name, values, rows)
        else:
            self._coded(name, np.asarray(values), True, rows)
