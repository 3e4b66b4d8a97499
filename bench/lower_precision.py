"""What a lower precision does to quality: a trained model against itself, on the same test rows, seed by seed.

Both score the same rows with the same weights, so that what users and seeds give to both cancels: the difference has an influence
of each user and a value of each seed of its own, and its interval carries both (evaluation/stats.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from .errors import UserError
from .evaluation import evaluator
from .evaluation.influence import influence, rows
from .evaluation.predictions import Predictions, align
from .evaluation.stats import LOWER_IS_BETTER, Estimate, Verdict, assemble, verdict
from .serving import Precision, Scorer

Watched = Literal["request_gauc", "auc", "logloss"]
WATCHED: tuple[Watched, ...] = ("request_gauc", "auc", "logloss")

_EXACT = "fp32"


@dataclass(frozen=True)
class Change:
    """Of one metric, by one precision."""

    precision: Precision
    int8_share: float | None
    """Of the weights of linear maps; None of other precisions."""
    metric: Watched
    exact: float
    """In fp32, mean over seeds."""
    difference: Estimate
    """From fp32, with a 95% interval over test users and seeds, as a single comparison."""
    word: Verdict
    """Of the lower precision against fp32, within the data set's margin."""


def changes(scorers: Sequence[Scorer], precisions: Sequence[Precision]) -> list[Change]:
    """Of every precision, all of WATCHED.

    Args:
        scorers: one model under one configuration, a seed each, in fp32.
        precisions: others than fp32.

    Raises:
        UserError: the model cannot be computed in a precision, or its scores are not finite.
    """
    variants = {name: [scorer.in_precision(name) for scorer in scorers] for name in precisions}
    scored = {_EXACT: list(scorers)} | variants
    predictions = align({name: [_scores(one) for one in of] for name, of in scored.items()})
    margin = scorers[0].data.log.meta.margin
    return [
        Change(name, variants[name][0].int8_share, metric, exact, apart, _word(apart, margin, metric))
        for name in precisions
        for metric, exact, apart in differences(predictions, _EXACT, name)
    ]


def differences(predictions: Predictions, exact: str, other: str) -> Iterator[tuple[Watched, float, Estimate]]:
    """Of every metric the value of `exact` and how far `other` lies from it, paired by user and seed."""
    asked = rows(predictions.label, predictions.user, predictions.request)
    for metric in WATCHED:
        ours, theirs = ([influence(metric, asked, score) for score in predictions.scores[name]] for name in (other, exact))
        apart = [(one - two, of_one - of_two) for (one, of_one), (two, of_two) in zip(ours, theirs, strict=True)]
        comparison = assemble(metric, {"difference": apart}, asked.matter(metric))
        value, half = float(comparison.point[0]), comparison.half_width("difference")
        yield metric, float(np.mean([value for value, _ in theirs])), Estimate(value, value - half, value + half)


def lines(found: Sequence[Change], seeds: int) -> list[str]:
    """A table."""
    head = ["metric", _EXACT, "precision", "difference [95%]", "against fp32"]
    result = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in found:
        name = one.precision if one.int8_share is None else f"{one.precision} ({one.int8_share:.0%} of linear weights)"
        apart = f"{one.difference.value:+.5f} [{one.difference.low:+.5f}, {one.difference.high:+.5f}]"
        if math.isnan(one.difference.value):
            apart = "does not exist: too few users have a request with both labels"
        result.append(f"| {one.metric} | {one.exact:.4f} | {name} | {apart} | {one.word} |")
    if seeds == 1:
        result.append("\nOne seed says nothing of the noise of training: give the weights of several for an interval.")
    return result


def _scores(scorer: Scorer) -> pd.DataFrame:
    try:
        return evaluator.predictions(
            evaluator.Forward(scorer.model, scorer.device, scorer.precision), scorer.info, scorer.data, "test"
        )
    except FloatingPointError as error:
        raise UserError(f"{scorer.info.name} in {scorer.precision}: {error}") from None


def _word(apart: Estimate, margin: float, metric: Watched) -> Verdict:
    return verdict(apart.low, apart.high, margin, metric in LOWER_IS_BETTER)
