"""Differences between training and test: in base rate, in features, and in whom they are about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data.dataset import RankingData
from ..data.splits import TEST, TRAIN
from .finding import Fault
from .values import counted, values_of

RATE, DOUBLE, LEAST = 1.25, 2.0, 0.02
"""Ratio of base rates from which on they are told, and are serious; and the difference that there must be in any case."""
APART = 0.2
"""Total variation distance between training and test from which on a feature is told."""
VALUES = 30
"""Values of a feature that are looked at one by one, the most frequent; the rest is one."""
COLD_USERS, COLD_ITEMS = 0.5, 0.2
"""Shares of the test rows whose user or item training never saw, from which on they are told."""
_NEW_USERS = (
    "Read the slices by user events: what a model learned of a user helps the other rows alone. A split per user asks about "
    "known users, and lets training know the future of others."
)
_NEW_ITEMS = (
    "Read the slices by item events: what a model learned of an item's id helps the other rows alone. rankbench study cold-start "
    "asks what features and semantic ids do for new items."
)


def drift(data: RankingData) -> Iterator[Fault]:
    """From training to test, under the split of the data."""
    log, split = data.log, data.split
    users, items = (counted(ids, log, split.role)[..., 1:] for ids in values_of(log, features=False))
    if not log.positive_only:
        before, after = (float(users[role, 1].sum() / users[role].sum()) for role in (TRAIN, TEST))
        ratio = max(before, after) / max(min(before, after), 1e-9)
        if ratio > RATE and abs(before - after) > LEAST:
            yield Fault(
                "drift",
                "serious" if ratio > DOUBLE else "look",
                f"The base rate is {before:.1%} in training and {after:.1%} in the test.",
                "Find out what changed: the label's meaning, what is logged, or the world. Probabilities learned on the one are "
                "off on the other; rankbench study shift shows how fast.",
            )
    tested = {"user": users[TEST].sum(0), "item": items[TEST].sum(0)}
    for owner, known, bound, advice in (
        ("user", split.user_events, COLD_USERS, _NEW_USERS),
        ("item", split.item_events, COLD_ITEMS, _NEW_ITEMS),
    ):
        cold = tested[owner][known == 0].sum() / tested[owner].sum()
        if cold > bound:
            yield Fault(
                "drift",
                "look",
                f"{cold:.0%} of the test rows are of {owner}s that training never saw.",
                advice,
            )
    units = {owner: int(np.count_nonzero(rows)) for owner, rows in tested.items()}
    for values in values_of(log, ids=False):
        rows = counted(values, log, split.role).sum(1)
        apart, noise = _distance(rows[TRAIN], rows[TEST], units["item" if values.owner == "item" else "user"])
        if apart > APART + 2 * noise:
            yield Fault(
                "drift",
                "look",
                f"The {values.owner} feature {values.name} has other values in the test: {apart:.0%} of the rows would have to "
                "change.",
                "Look at its values over time: a format that changed, a new version of the product, or other users.",
            )


def _distance(before: np.ndarray, after: np.ndarray, units: int) -> tuple[float, float]:
    """Total variation distance of two columns, and about how much of it chance makes.

    Args:
        before, after: int [values], rows with each value.
        units: users or items among the second, each of which brings rows that are alike.
    """
    both = before + after
    frequent = np.argsort(-both, kind="stable")[: min(VALUES, np.count_nonzero(both))]
    shares = [np.append(rows[frequent], rows.sum() - rows[frequent].sum()) / rows.sum() for rows in (before, after)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(np.sqrt(len(frequent) / (2 * np.pi * max(units, 1))))
