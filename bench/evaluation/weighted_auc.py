"""AUC in which an example counts as often as its user was drawn: what a bootstrap over users asks for a thousand times.

Pairs of a positive and a negative count two if the positive has the larger score, one if both have the same. All counts are whole
numbers in float64: exact as long as positives times negatives stay below 2^52, and so the same either way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

FEW_USERS = 4000
"""Up to so many, a table of pairs between users (128 MB) costs less than going through all examples for every draw."""

_BLOCK = 4_000_000
"""Numbers in a block of running counts: 32 MB."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""How often each user is drawn [rows, users] -> the metric [rows, arrays of scores]."""


def weighted_auc(positive: np.ndarray, group: np.ndarray, score: np.ndarray, few: int = FEW_USERS) -> Statistic:
    """What computes the AUC of drawn users; NaN where they have one label alone.

    Args:
        positive: bool [n]. group: int [n], users counted from 0. score: [n].
    """
    users = int(group.max()) + 1
    return _of_users(positive, group, score, users) if users <= few else _of_examples(positive, group, score)


def _of_users(positive: np.ndarray, group: np.ndarray, score: np.ndarray, users: int) -> Statistic:
    """By the table of pairs: of the positives of one user and the negatives of another."""
    pairs = _pairs(positive, group, score, users)
    positives, negatives = (np.bincount(group[chosen], minlength=users).astype(np.float64) for chosen in (positive, ~positive))

    def statistic(drawn: np.ndarray) -> np.ndarray:
        twice = ((drawn @ pairs) * drawn).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return (twice / (2 * (drawn @ positives) * (drawn @ negatives)))[:, None]

    return statistic


def _pairs(positive: np.ndarray, group: np.ndarray, score: np.ndarray, users: int) -> np.ndarray:
    """[users, users]: twice the pairs that the positives of one user win against the negatives of another, ties once."""
    values, level = np.unique(score, return_inverse=True)

    def counts(chosen: np.ndarray) -> sparse.csr_array:
        where = (level[chosen], group[chosen])
        return sparse.coo_array((np.ones(int(chosen.sum())), where), (len(values), users)).tocsr()

    up, down = counts(positive), counts(~positive)
    pairs, passed = np.zeros((users, users)), np.zeros(users)
    step = max(1, _BLOCK // users)
    for begin in range(0, len(values), step):
        here = down[begin : begin + step].toarray()
        upto = here.cumsum(axis=0) + passed
        pairs += up[begin : begin + step].T @ (2 * upto - here)
        passed = upto[-1]
    return pairs


def _of_examples(positive: np.ndarray, group: np.ndarray, score: np.ndarray) -> Statistic:
    """By sorting once; a draw is a running count of negatives, read at each positive."""
    order = np.argsort(score)
    up, down = order[positive[order]], order[~positive[order]]
    up_user, down_user = group[up], group[down]
    below = np.searchsorted(score[down], score[up], side="left")
    upto = np.searchsorted(score[down], score[up], side="right")
    untied = np.array_equal(below, upto)

    def statistic(drawn: np.ndarray) -> np.ndarray:
        twice, pairs = np.empty(len(drawn)), np.empty(len(drawn))
        negatives = np.zeros(len(down) + 1)
        for at, count in enumerate(drawn):
            np.cumsum(count[down_user], out=negatives[1:])
            weight = count[up_user]
            before = weight @ negatives[below]
            twice[at] = before + (before if untied else weight @ negatives[upto])
            pairs[at] = weight.sum() * negatives[-1]
        with np.errstate(invalid="ignore"):
            return (twice / (2 * pairs))[:, None]

    return statistic
