"""What each metric means, in words and as a formula. Imports nothing heavy, so that listing them is instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricCard:
    """One metric of evaluation/metrics.py."""

    name: str
    meaning: str
    formula: str
    better: Literal["higher", "lower"]


_CARDS = (
    MetricCard(
        "auc",
        "chance that a random positive example scores above a random negative one, over all examples, ties counting half",
        "(pairs in order + tied pairs / 2) / (positives * negatives)",
        "higher",
    ),
    MetricCard(
        "gauc",
        "AUC within users, weighted by their examples; users with a single label value are left out and counted",
        "sum_u n_u AUC_u / sum_u n_u",
        "higher",
    ),
    MetricCard("gauc_unweighted", "AUC within users, every user counting the same; the users of gauc", "mean_u AUC_u", "higher"),
    MetricCard(
        "logloss",
        "mean cross-entropy of the predicted probabilities, in nats an example",
        "-mean(y ln p + (1 - y) ln(1 - p))",
        "lower",
    ),
    MetricCard(
        "ne",
        "normalized entropy: logloss over that of the examples' own base rate r; below 1 beats a constant",
        "logloss / -(r ln r + (1 - r) ln(1 - r))",
        "lower",
    ),
    MetricCard(
        "ece",
        "expected calibration error: distance of mean prediction and observed rate in 15 bins of equally many examples",
        "sum_b n_b |mean_b p - mean_b y| / n",
        "lower",
    ),
    MetricCard(
        "ndcg@10",
        "ranking of each user's examples, binary gains, expected value over the order of ties; users with a positive",
        "mean_u (sum_{rank <= 10} y / log2(rank + 1)) / (the same in the best order)",
        "higher",
    ),
)

METRICS: dict[str, MetricCard] = {card.name: card for card in _CARDS}
"""Metric name, as in a run record -> its card."""


def merit(metric: str, value: float) -> float:
    """The value of a metric, turned round where lower is better: more is better."""
    return -value if METRICS[metric].better == "lower" else value
