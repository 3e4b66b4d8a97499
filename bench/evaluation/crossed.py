"""Intervals over other items as well as other users, for slices of the test that are made by item.

A slice may hold a thousand examples of a hundred items. What a model takes an item for is then asked once for all its users: over
users alone, guesses that differ from item to item and are the same for everybody are told apart from no guess far too often.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .influence import Metric
from .predictions import Predictions
from .stats import Comparison, compare
from .two_noises import Noise


@dataclass(frozen=True)
class CrossedComparison(Comparison):
    """A comparison on the same users, the same items and the same examples."""

    of_items: Comparison
    """With items in the place of users."""
    of_examples: Comparison

    @staticmethod
    def of(
        predictions: Predictions, item: np.ndarray, metric: Metric, over: Callable[[np.ndarray], Comparison]
    ) -> CrossedComparison:
        """The same comparison over users, over items and over examples.

        Args:
            item: of each example, [n].
            over: compares over the units that it is given, one an example, [n].

        Raises:
            ValueError: the metric is one with groups.
        """
        if metric not in ("auc", "logloss"):
            raise ValueError(f"{metric} is of users or their requests, which have no items of their own")
        users, items, examples = map(over, (predictions.user, item, np.arange(len(item))))
        same = {field.name: getattr(users, field.name) for field in dataclasses.fields(users)}
        return CrossedComparison(**same, of_items=items, of_examples=examples)

    @property
    def trusted(self) -> bool:
        return super().trusted and self.of_items.trusted

    def noise_of(self, first: int, second: int | None = None) -> Noise:
        """With the variance of users and that of items added up; that of single examples is in both, and is taken off once
        (Cameron, Gelbach & Miller 2011, section 2.2). Never less than over users or over items alone."""
        users = super().noise_of(first, second)
        items, examples = (one.noise_of(first, second) for one in (self.of_items, self.of_examples))
        both = users.users + items.users - examples.users
        freedom = min(users.users_freedom, items.users_freedom)
        return dataclasses.replace(users, users=max(users.users, items.users, both), users_freedom=freedom)

    def users_covariance(self, chosen: Sequence[int]) -> np.ndarray:
        """Of users and items together; it says how differences hang together, not how large their errors are."""
        return super().users_covariance(chosen) + self.of_items.users_covariance(chosen)


def compare_crossed(predictions: Predictions, item: np.ndarray, metric: Metric) -> CrossedComparison:
    """As `compare`, over test users, test items and seeds.

    Args:
        item: of each example, [n].
        metric: one without groups: auc or logloss.

    Raises:
        ValueError: as `compare` does, or for another metric.
    """
    example = np.arange(len(item))
    return CrossedComparison.of(
        predictions, item, metric, lambda of: compare(predictions._replace(user=of, request=example), metric)
    )
