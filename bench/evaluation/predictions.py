"""What several models say about the same examples, side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import UserError
from .metrics import check_predictions

IDENTITY = ("example", "user", "request", "item", "time", "label")
"""Columns in which tables of predictions must agree, to be about the same rows."""


class Predictions(NamedTuple):
    """What several models say about the same examples."""

    label: np.ndarray
    """[n], 0 or 1"""
    user: np.ndarray
    """[n]"""
    request: np.ndarray
    """[n], id of the (user, request) group"""
    scores: dict[str, list[np.ndarray]]
    """Model -> one array of probabilities [n] per seed."""

    def part(self, mask: np.ndarray) -> Predictions:
        """Those of a slice of the examples, bool [n]."""
        scores = {name: [one[mask] for one in seeds] for name, seeds in self.scores.items()}
        return Predictions(self.label[mask], self.user[mask], self.request[mask], scores)


def align(frames: dict[str, list[pd.DataFrame]]) -> Predictions:
    """The predictions of each model's seeds side by side, after checking that all tables are about the same rows.

    Raises:
        UserError: there is no table, a table is broken, or two tables differ in an example, user, request, item, time or label.
    """
    if not frames or not all(frames.values()):
        raise UserError("there are no predictions to compare; run the models first")
    first_name, first = next((name, tables[0]) for name, tables in frames.items())
    for name, tables in frames.items():
        for table in tables:
            check_predictions(table, (*IDENTITY, "score"), f"predictions of {name}")
            if len(table) != len(first):
                what = f"{len(table)} and {len(first)} rows"
            else:
                what = ", ".join(key for key in IDENTITY if not np.array_equal(table[key].to_numpy(), first[key].to_numpy()))
            if what:
                both = f"predictions of {name} and {first_name}"
                raise UserError(
                    f"{both} are not about the same rows ({what}): run both on the same data, under the same data settings"
                )
    scores = {name: [table["score"].to_numpy(np.float64) for table in tables] for name, tables in frames.items()}
    return Predictions(first["label"].to_numpy(), first["user"].to_numpy(), first["request"].to_numpy(), scores)
