"""How much AUC within users depends on seeing test labels in live histories: a selection effect, measured without any model.

It asks only users whose test labels are not all the same. Given that a user has both, a later label is more often the
opposite of the earlier ones, as the last ball drawn from an urn is (Miller & Sanjurjo 2018, Econometrica 86, on streaks). A
score that rises with the user's own past rate, which is right for the user on the whole, is then wrong within the user. Within a
request all examples share one history and one past rate, so that there is no such effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.dataset import RankingData
from . import metrics

PRIOR = 5.0
"""Examples at the base rate added to a user's past."""


@dataclass(frozen=True)
class SelectionEffect:
    """Quality of the user's own past rate as a score of the test examples."""

    auc: float
    user_gauc: float
    user_gauc_exchanged: float
    """With each user's labels put in random order, so that the past says nothing about what comes next: 0.5 were fair."""
    request_gauc: float
    """0.5 exactly: a request's examples see the same past."""
    rows_per_user: float
    """Test examples of a user with both labels, mean."""


def selection_effect(data: RankingData, permutations: int = 20, seed: int = 0) -> SelectionEffect:
    """Of the test examples of `data`, under its visibility."""
    test, label = data.split.examples("test"), np.asarray(data.log.label, dtype=np.int64)
    everyone = data.log.user_of(np.arange(len(label)))
    user, rng = everyone[test], np.random.default_rng(seed)

    def within_users(labels: np.ndarray) -> metrics.GroupedAuc:
        return metrics.grouped_auc(labels[test], _own_rate(data, labels)[test], user)

    found = within_users(label)
    exchanged = [within_users(label[np.lexsort((rng.random(len(label)), everyone))]).value for _ in range(permutations)]
    return SelectionEffect(
        auc=metrics.auc(label[test], _own_rate(data, label)[test]),
        user_gauc=found.value,
        user_gauc_exchanged=float(np.mean(exchanged)),
        request_gauc=metrics.grouped_auc(label[test], _own_rate(data, label)[test], data.request[test]).value,
        rows_per_user=found.rows / found.groups if found.groups else float("nan"),
    )


def _own_rate(data: RankingData, label: np.ndarray) -> np.ndarray:
    """Smoothed share of positives in what each event sees, [events]."""
    seen_label = label if data.places is None else label[data.places.event]
    total = np.concatenate([[0], np.cumsum(seen_label)])
    lo, hi = data.lo[:], data.hi[:]
    positive, seen = total[hi] - total[lo], hi - lo
    return (positive + PRIOR * data.spec.positive_rate) / (seen + PRIOR)
