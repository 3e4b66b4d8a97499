"""Pairs of a positive and a negative example, counted exactly: what every AUC is made of.

A pair counts two if the positive has the larger score and one if both have the same. All counts are whole numbers, kept as int64
(or as float64 below 2^53, where they are exact too), so that no order of summation and no library changes a digit of them.
"""

from __future__ import annotations

import numpy as np


def checked_arrays(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and scores as float64 [n].

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, or a score is NaN.
    """
    label, score = np.asarray(label), np.asarray(score, dtype=np.float64)
    if label.shape != score.shape or label.ndim != 1:
        raise ValueError(f"labels {label.shape} and scores {score.shape} must be two arrays of one length")
    positive = label == 1
    if not (positive | (label == 0)).all():
        raise ValueError("labels must be 0 or 1")
    if np.isnan(score).any():
        raise ValueError("scores must be numbers, not NaN")
    return positive, score


def tied_runs(group: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of equal scores within a group, for rows sorted by (group, score): run of each row, begin and end of each run."""
    new = np.ones(len(score), dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (score[1:] != score[:-1])
    begin = np.flatnonzero(new)
    return np.cumsum(new) - 1, begin, np.append(begin, len(score))[1:]


def class_counts(positive: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives of each group, int64 [groups] each.

    Args:
        positive: bool [n].
        group: [n] in 0 .. groups - 1.
    """
    positives = np.bincount(group[positive], minlength=groups)
    return positives, np.bincount(group, minlength=groups) - positives


def wins_by_example(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Twice the pairs, over all examples, that are in the right order and of which this example is a part: int64 [n].

    Of a positive its wins over negatives, of a negative the wins of positives over it; ties count one.
    """
    order = np.argsort(score, kind="stable")
    run, begin, end = tied_runs(np.zeros(len(order), dtype=np.int64), score[order])
    ones = positive[order]
    negatives, positives = (np.concatenate([[0], np.cumsum(chosen)]) for chosen in (~ones, ones))
    below = (negatives[begin] + negatives[end])[run]
    above = (2 * positives[-1] - positives[begin] - positives[end])[run]
    wins = np.empty(len(order), dtype=np.int64)
    wins[order] = np.where(ones, below, above)
    return wins


def wins_by_group(positive: np.ndarray, score: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Twice the pairs within each group that are in the right order, ties counting one: int64 [groups].

    Args:
        group: [n] in 0 .. groups - 1.
    """
    order = np.lexsort((score, group))
    group, positive = group[order], positive[order]
    run, begin, end = tied_runs(group, score[order])
    negatives = np.concatenate([[0], np.cumsum(~positive)])
    count = np.bincount(group, minlength=groups)
    before = negatives[np.cumsum(count) - count]
    below = (negatives[begin] + negatives[end])[run] - 2 * before[group]
    return np.bincount(group[positive], weights=below[positive], minlength=groups).astype(np.int64)
