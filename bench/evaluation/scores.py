"""Test predictions in two parts: the rows, which are the data's and never committed, and a run's scores, which are small.

A score is kept as its logit in steps of 1/1024, 2 bytes an example, so that the scores of every run can lie beside its
record and anyone who has the data can recompute a board without training. Metrics are of the scores so kept, not of finer
ones: a probability moves by .00013 at most, and what moves in AUC is far below the spread over seeds.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

STEPS = 1024
"""Of a logit of 1; logits are kept between -32 and 32."""

ROW = ("example", "user", "request", "item", "time", "label", "user_events", "item_events", "user_gap_days")
"""Columns of a row; `label.<name>` of each further label comes beside them."""


def codes(probability: np.ndarray) -> np.ndarray:
    """int16 [n]: the logits of probabilities [n] in STEPS. Not a number, or outside [0, 1]: ValueError."""
    probability = np.asarray(probability, np.float64)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("scores must be probabilities")
    with np.errstate(divide="ignore"):
        logit = np.log(probability) - np.log1p(-probability)
    limit = np.iinfo(np.int16).max
    return np.round(np.clip(logit * STEPS, -limit, limit)).astype(np.int16)


def probabilities(code: np.ndarray) -> np.ndarray:
    """float64 [n]: what `codes` stand for."""
    return 1 / (1 + np.exp(-code.astype(np.float64) / STEPS))


def rounded(probability: np.ndarray) -> np.ndarray:
    """float64 [n]: the probabilities that are kept for these."""
    return probabilities(codes(probability))


def is_score(column: str) -> bool:
    return column == "score" or column.startswith("score.")


def split(predictions: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """A table of predictions as rows and, by column, the codes of its scores.

    Raises:
        ValueError: a score is not `rounded`; its metrics would not be those of what is kept.
    """
    kept = {}
    for column in filter(is_score, predictions.columns):
        kept[column] = codes(predictions[column].to_numpy())
        if not np.array_equal(probabilities(kept[column]), predictions[column].to_numpy()):
            raise ValueError(f"column {column} holds scores that were not rounded")
    return predictions.drop(columns=list(kept)), kept


def join(rows: pd.DataFrame, kept: dict[str, np.ndarray]) -> pd.DataFrame:
    """What `split` took apart."""
    return rows.assign(**{column: probabilities(code) for column, code in kept.items()})


def rows_hash(rows: pd.DataFrame) -> str:
    """16 hexadecimal digits of what the rows hold, column by column, whatever the width of their numbers."""
    digest = hashlib.sha256()
    for column in sorted(rows.columns):
        digest.update(f"{column}:".encode())
        digest.update(rows[column].to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]
