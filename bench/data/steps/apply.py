"""A log without the rows that its steps leave out.

A log is converted once; each declared list of steps makes another log of it, with a content hash of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...atomic import temporary_folder
from ...errors import UserError
from ...typed import as_json
from ..columns import Column, Computed, scratch
from ..content import content_hash
from ..eventlog import EventLog, complete_folder, open_log
from ..sources.schema import HISTORY
from ..splits import KNOWN, TRAIN, make_split
from ..visibility import Requests
from .declared import LogSize, Step, StepEffect, in_words
from .filter import Filter
from .rules import AllRows, Rows, kept


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
    with temporary_folder(folder.parent) as between:
        for at, step in enumerate(steps):
            target = folder if at == len(steps) - 1 else between / str(at)
            log = _apply(log, step, requests_of, target)
    return log


def _apply(log: EventLog, step: Step, requests_of: Callable[[EventLog], Requests], folder: Path) -> EventLog:
    split = None if step.rows == "all" else make_split(log, "default", requests_of(log)).role
    keep, labels = _kept(log, step, split)
    if not labels.any() or (not labels.all() and not log.positive_only):
        left = f"only the label {int(labels.argmax())}" if labels.any() else "no row"
        raise UserError(f"{log.meta.name}: the step {in_words(step)} leaves {left} of the rows that it looks at: ask for less")
    with complete_folder(folder) as building:
        columns, dictionaries = Filter(log, keep, building).write(None if split is None else _roles(log, split))
        before, after = _size(log, np.ones(1, dtype=bool)), _size(log, keep)
        effects = (*log.meta.steps, StepEffect(step, before, after))
        words = [in_words(effect.step) for effect in effects]
        meta = dataclasses.replace(
            log.meta,
            events=after.rows,
            users=after.users,
            items=after.items,
            content_hash=content_hash(log.meta.content, columns, dictionaries, words),
            default_split=log.meta.default_split if split is None else "declared",
            bayes_auc=None,
            steps=effects,
        )
        (building / "meta.json").write_text(as_json(meta), encoding="utf-8")
    return open_log(folder)


def _kept(log: EventLog, step: Step, split: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """bool [events], which rows are left; and int64 [2], of those that the step looks at and that can be examples, by label.

    Args:
        split: uint8 [events], roles, if the step looks at training alone.
    """

    def looked_at(events: slice) -> np.ndarray:
        if split is None:
            return np.ones(events.stop - events.start, dtype=bool)
        return (split[events] == TRAIN) | (split[events] == KNOWN)

    def parts() -> Iterator[Rows]:
        for events, user in log.users_of_blocks():
            at = looked_at(events)
            yield Rows(user[at], log.item[events][at], log.time[events][at], log.label[events][at], log.action[events][at])

    found = kept(step, AllRows(log.meta.users, log.meta.items, parts, lambda: log.dictionary_blocks("user")))
    keep, labels = scratch(log.meta.events, np.bool_, log.near), np.zeros(2, dtype=np.int64)
    for (events, _), of_part in zip(log.users_of_blocks(), found, strict=True):
        at = looked_at(events)
        left = ~at
        left[at] = of_part
        keep[events] = left
        counts = left & at if log.asked is None else left & at & log.asked[events]
        labels += np.bincount(log.label[events][counts], minlength=2)
    return keep, labels


def _roles(log: EventLog, split: np.ndarray) -> Column:
    """uint8 [events]: the roles of a split as declared ones."""

    def declared(row: np.ndarray) -> np.ndarray:
        role = split[row] if log.asked is None else np.where(log.asked[row], split[row], HISTORY)
        return np.where(role == KNOWN, HISTORY, role).astype(np.uint8)

    return Computed(log.meta.events, declared)


def _size(log: EventLog, keep: np.ndarray) -> LogSize:
    """
    Args:
        keep: bool [events], or [1] for all.
    """
    user, item, rows, labels = np.zeros(log.meta.users, dtype=bool), np.zeros(log.meta.items, dtype=bool), 0, np.zeros(2)
    for events, of in log.users_of_blocks():
        left = np.broadcast_to(keep if len(keep) == 1 else keep[events], len(of))
        user[of[left]] = True
        item[log.item[events][left]] = True
        rows += int(left.sum())
        counts = left if log.asked is None else left & log.asked[events]
        labels += np.bincount(log.label[events][counts], minlength=2)
    return LogSize(rows, int(user.sum()), int(item.sum()), float(labels[1] / labels.sum()))
