"""Faults of features: those that tell the label alone, and those that know the future."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from ..data.dataset import RankingData
from ..data.eventlog import Multi
from ..data.vocabulary import QUANTILE_BINS
from ..evaluation.metrics import auc
from .finding import Fault

TELLS = 0.95
"""AUC from which on a feature alone is a leak candidate."""
PRIOR = 2.0
"""Rows at the base rate that are added to those of a value."""
COUNTS, AHEAD = 0.95, 0.01
"""Rank correlation of a feature with a count from which on it is that count; and how much more it must be with the count of all
rows than with that of training."""
FEWEST = 30
"""Users or items that are seen both in training and later, at least, to say something of counts."""
FILLED = 0.2
"""Difference between the shares of missing values from which on it is told."""


def columns(data: RankingData, ids: bool = True) -> Iterator[tuple[str, str, np.ndarray]]:
    """Owner, name and codes, int64 [events], of everything that stands for a row before its outcome; -1 where missing.

    Numbers are cut at quantiles of their values; a list is one value, whatever its order.

    Args:
        ids: with users and items themselves.
    """
    log = data.log
    row = {"user": log.user[:], "item": np.asarray(log.item), "context": None}
    if ids:
        yield "user", "user", log.user[:].astype(np.int64)
        yield "item", "item", np.asarray(log.item, dtype=np.int64)
    for owner, feature in log.meta.features:
        values = log.feature(feature.column)
        if isinstance(values, Multi):
            codes = _of_lists(values)
        elif values.dtype.kind == "f":
            codes = _of_numbers(np.asarray(values))
        else:
            text = log.dictionary(f"feature.{feature.column}")
            codes = np.where(text[np.asarray(values)] == "", -1, np.asarray(values, dtype=np.int64))
        at = row[owner]
        yield owner, feature.column, codes if at is None else codes[at]


def _of_lists(values: Multi) -> np.ndarray:
    mixed = (np.asarray(values.values, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    lengths = np.diff(values.offsets)
    sums = np.zeros(len(lengths), dtype=np.uint64)
    np.add.at(sums, np.repeat(np.arange(len(lengths)), lengths), mixed)
    codes = np.unique(sums, return_inverse=True)[1].astype(np.int64)
    return np.where(lengths == 0, -1, codes)


def _of_numbers(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), -1)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, 4 * QUANTILE_BINS + 1)[1:-1]))
    return np.where(known, np.searchsorted(edges, values, side="right"), -1)


def alone(codes: np.ndarray, label: np.ndarray, fit: np.ndarray, asked: np.ndarray) -> float:
    """AUC of a column's own rates as scores: learned on the rows `fit`, judged on the rows `asked`; NaN of one class."""
    place = codes + 1
    base = label[fit].mean()
    size = int(place.max(initial=0)) + 1
    rows, positive = np.bincount(place[fit], minlength=size), np.bincount(place[fit], label[fit], size)
    score = (positive + PRIOR * base) / (rows + PRIOR)
    return auc(label[asked], score[place[asked]])


def leaks(data: RankingData) -> Iterator[Fault]:
    """Columns that tell the label of later rows alone."""
    log, split = data.log, data.split
    if log.positive_only:
        return
    label = np.asarray(log.label, dtype=np.float64)
    train = split.examples("train")
    by_time = train[np.argsort(log.time[train], kind="stable")]
    held_out = np.concatenate([split.examples("valid"), split.examples("test")])
    half = len(by_time) // 2
    for owner, name, codes in columns(data):
        # Within training too: a column may be filled in there alone.
        later = alone(codes, label, train, held_out)
        within = alone(codes, label, by_time[:half], by_time[half:])
        found = np.nanmax([later, within, 0.0])
        if found >= TELLS:
            what = f"The {owner}'s id" if owner == name else f"The {owner} feature {name}"
            yield Fault(
                "leak",
                "serious",
                f"{what} alone tells the label: AUC {later:.3f} on validation and test, {within:.3f} on later training rows.",
                "If it is an outcome (what happened after the item was shown), list it under action, never among the features. "
                "If ids tell it, look at how rows without the outcome were made.",
            )


def futures(data: RankingData) -> Iterator[Fault]:
    """Columns that know what comes after training."""
    yield from _counts(data)
    yield from _filled_in(data)


def _counts(data: RankingData) -> Iterator[Fault]:
    """Numbers of users and items that are counts of all rows, the test included."""
    log, split = data.log, data.split
    known = split.known
    rows = {"user": (log.user[:], log.meta.users), "item": (np.asarray(log.item), log.meta.items)}
    label = np.asarray(log.label)
    for owner, feature in log.meta.features:
        values = log.feature(feature.column)
        if owner == "context" or isinstance(values, Multi) or values.dtype.kind != "f":
            continue
        at, size = rows[owner]
        for what, counted in (("rows", np.ones(len(at), dtype=bool)), ("positive rows", label == 1)):
            past = np.bincount(at[counted & known], minlength=size)
            whole = np.bincount(at[counted], minlength=size)
            both = np.isfinite(values) & (past > 0) & (whole > past)
            if both.sum() < FEWEST or any(np.ptp(one[both]) == 0 for one in (values, whole, past)):
                continue
            ranks = rankdata(values[both])
            of_whole, of_past = (float(np.corrcoef(ranks, rankdata(one[both]))[0, 1]) for one in (whole, past))
            if of_whole >= COUNTS and of_whole > of_past + AHEAD:
                yield Fault(
                    "future",
                    "serious",
                    f"The {owner} feature {feature.column} is a count of {what} of the whole log: rank correlation "
                    f"{of_whole:.3f} with that count, {of_past:.3f} with that of training alone.",
                    "Take the feature from before the first test row, or leave it out: it says how often the "
                    f"{owner} will be met in the test.",
                )
                break


def _filled_in(data: RankingData) -> Iterator[Fault]:
    """Columns that are missing in one period and there in another."""
    split = data.split
    train, test = split.examples("train"), split.examples("test")
    for owner, name, codes in columns(data, ids=False):
        before, after = float((codes[train] < 0).mean()), float((codes[test] < 0).mean())
        if abs(before - after) > FILLED:
            yield Fault(
                "future",
                "look",
                f"The {owner} feature {name} is missing in {before:.0%} of training and in {after:.0%} of the test.",
                "Find out when it is filled in: a value that comes after the event carries the future into the past, and one "
                "that stops coming cannot be learned from.",
            )
