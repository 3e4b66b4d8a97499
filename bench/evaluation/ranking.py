"""NDCG and MRR within groups: expected values over a random order of the tied."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from .pairs import checked_arrays, tied_runs


class _Ranked(NamedTuple):
    """Examples sorted by group and falling score."""

    group: np.ndarray
    """[n], counted from 0"""
    positive: np.ndarray
    rank: np.ndarray
    """[n], from 0 within the group"""
    run: np.ndarray
    """[n]: its run of tied examples"""
    size: np.ndarray
    """[runs]"""
    used: np.ndarray
    """bool [groups]: both labels"""


def _ranked(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> _Ranked:
    positive, score = checked_arrays(label, score)
    if len(group) != len(score):
        raise ValueError(f"{len(group)} groups for {len(score)} scores")
    _, group, count = np.unique(group, return_inverse=True, return_counts=True)
    order = np.lexsort((-score, group))
    group, positive = group[order], positive[order]
    run, begin, end = tied_runs(group, score[order])
    positives = np.bincount(group[positive], minlength=len(count))
    rank = np.arange(len(order)) - (np.cumsum(count) - count)[group]
    return _Ranked(group, positive, rank, run, end - begin, (positives > 0) & (positives < count))


def ndcg(label: np.ndarray, score: np.ndarray, group: np.ndarray, k: int = 10) -> np.ndarray:
    """NDCG@k of each group that holds both labels, in the order of the groups' numbers or names: float64 [G].

    Binary gains, discount 1 / log2(rank + 1) (Jarvelin & Kekalainen 2002); tied examples share the mean discount of their ranks,
    which is the expected value under a random order of them (McSherry & Najork 2008).

    Args:
        label, score, group: [n].
    """
    found = _ranked(label, score, group)
    groups = len(found.used)
    discount = np.where(found.rank < k, 1 / np.log2(found.rank + 2), 0.0)
    shared = np.bincount(found.run, weights=discount) / found.size
    gain = np.bincount(found.group, weights=shared[found.run] * found.positive, minlength=groups)
    positives = np.bincount(found.group[found.positive], minlength=groups)
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))[np.minimum(positives[found.used], k) - 1]
    return gain[found.used] / ideal


def reciprocal_rank(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> np.ndarray:
    """1 / rank of the first positive of each group that holds both labels: float64 [G], as `ndcg`.

    Of r tied examples with k positives, the first positive stands at place j with probability C(r - j, k - 1) / C(r, k).

    Args:
        label, score, group: [n].
    """
    found = _ranked(label, score, group)
    size = found.size[found.run]
    positives = np.bincount(found.run, weights=found.positive, minlength=len(found.size))[found.run]
    # The first run with a positive decides; in it, the rows stand for the places that the first positive may have.
    has = np.flatnonzero(positives > 0)
    _, first = np.unique(found.group[has], return_index=True)
    deciding = np.isin(found.run, found.run[has[first]])
    r, k = size[deciding], positives[deciding]
    begin = np.flatnonzero(np.diff(found.run, prepend=-1))
    j = (np.arange(len(found.run)) - begin[found.run])[deciding] + 1
    possible = j <= r - k + 1
    r, k, j = r[possible], k[possible], j[possible]
    chance = np.exp(_log_binomial(r - j, k - 1) - _log_binomial(r, k))
    value = np.bincount(
        found.group[deciding][possible], weights=chance / (found.rank[deciding][possible] + 1), minlength=len(found.used)
    )
    return value[found.used]


def _log_binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
