"""Made-up tests whose truth is known: users of real sizes, and models whose seeds differ as much as is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .predictions import Predictions

# fmt: off
ML_100K = (
    1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5,
    5, 5, 5, 5, 6, 6, 6, 7, 7, 7, 7, 8, 9, 9, 10, 11, 13, 13, 14, 15, 16, 17, 19, 20, 20, 20, 20, 20, 21, 21, 21, 21,
    21, 22, 22, 22, 22, 23, 24, 24, 24, 24, 24, 24, 25, 25, 25, 25, 25, 26, 26, 26, 27, 29, 30, 30, 32, 33, 35, 36, 36,
    37, 38, 39, 42, 42, 42, 44, 47, 50, 51, 51, 53, 55, 57, 61, 62, 62, 64, 65, 65, 65, 69, 73, 74, 75, 76, 77, 90, 93,
    97, 98, 98, 98, 102, 103, 103, 105, 105, 106, 118, 121, 121, 122, 127, 127, 128, 136, 142, 181, 187, 187, 204, 206,
    210, 223, 232, 258, 268, 285, 311, 318, 323, 333, 334, 358, 428,
)
# fmt: on
"""Test examples of each of the 166 users of ml-100k, split by time; 144 of them have both labels."""

REQUEST = 20
"""Examples of a request, mean."""


@dataclass(frozen=True)
class World:
    """What tests are drawn from. All models are alike: none is truly better, and every difference is 0."""

    users: int
    """Of a test; their sizes are drawn from those of ML_100K."""
    training: float
    """Standard deviation over seeds of the correlation of a score with what decides within a user (0.45 in the mean)."""
    models: int = 4

    def test(self, rng: np.random.Generator, seeds: int) -> Predictions:
        """A test: other users, and every model trained anew with so many seeds."""
        size = rng.choice(ML_100K, self.users)
        user = np.repeat(np.arange(self.users), size)
        begins = rng.random(len(user)) < 1 / REQUEST
        begins |= np.diff(user, prepend=-1) > 0
        liking, item = rng.normal(0, 0.8, self.users), rng.normal(size=len(user))
        label = (rng.random(len(user)) < 1 / (1 + np.exp(-(liking[user] + item)))).astype(np.int64)
        # What all models say of a user and of an example, and what each says beside it.
        of_user, of_example = 0.6 * liking + rng.normal(0, 0.4, self.users), rng.normal(size=len(user))
        scores = {}
        for at in range(self.models):
            own_user, own = of_user + rng.normal(0, 0.3, self.users), 0.7 * of_example + 0.5 * rng.normal(size=len(user))
            scores[f"model {at}"] = [self._score(rng, user, item, own_user, own) for _ in range(seeds)]
        return Predictions(label, user, np.cumsum(begins), scores)

    def _score(
        self, rng: np.random.Generator, user: np.ndarray, item: np.ndarray, own_user: np.ndarray, own: np.ndarray
    ) -> np.ndarray:
        skill = float(np.clip(0.45 + self.training * rng.normal(), 0.05, 0.95))
        noise = own + 0.5 * rng.normal(size=len(user))
        level = (own_user + rng.normal(0, 0.15, len(own_user)))[user] + self.training * rng.normal()
        return 1 / (1 + np.exp(-(level + skill * item + 0.8 * np.sqrt(1 - skill**2) * noise)))
