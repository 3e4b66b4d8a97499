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
        "request_gauc",
        "AUC within requests (examples of one user that share one history), weighted by their examples; requests with a single "
        "label value are left out and counted",
        "sum_r n_r AUC_r / sum_r n_r",
        "higher",
    ),
    MetricCard(
        "request_ndcg@10",
        "ranking of each request's examples, binary gains, expected value over the order of ties; the requests of request_gauc",
        "mean_r (sum_{rank <= 10} y / log2(rank + 1)) / (the same in the best order)",
        "higher",
    ),
    MetricCard(
        "request_mrr",
        "reciprocal rank of a request's first positive, expected value over the order of ties; the requests of request_gauc",
        "mean_r 1 / (rank of the first positive)",
        "higher",
    ),
    MetricCard(
        "auc",
        "chance that a random positive example scores above a random negative one, over all examples, ties counting half; nearly "
        "all of its pairs are of two users (auc_pairs_within_user says how many are not)",
        "(pairs in order + tied pairs / 2) / (positives * negatives)",
        "higher",
    ),
    MetricCard(
        "user_gauc",
        "AUC within users, weighted by their examples; with live histories it punishes the use of a user's own past",
        "sum_u n_u AUC_u / sum_u n_u",
        "higher",
    ),
    MetricCard(
        "logloss",
        "mean cross-entropy of the predicted probabilities, in nats per example",
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
        "expected calibration error: distance of mean prediction and observed rate in 15 bins of equally many examples; to be "
        "read beside ece_floor, what it would be if every probability were right",
        "sum_b n_b |mean_b p - mean_b y| / n",
        "lower",
    ),
)

METRICS: dict[str, MetricCard] = {card.name: card for card in _CARDS}
"""Metric name, as in a run record -> its card."""


def merit(metric: str, value: float) -> float:
    """The value of a metric, turned round where lower is better: more is better."""
    return -value if METRICS[metric].better == "lower" else value


_SHOWN = {"request_gauc": "request GAUC", "user_gauc": "user GAUC", "auc": "AUC"}


def shown(metric: str) -> str:
    """A metric as a page names it."""
    return _SHOWN.get(metric, metric)
