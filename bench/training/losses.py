"""The loss that training minimises for the main label (`train.loss`): example by example, or within each request.

A batch has n rows with logits s and labels y. A request r is what ranking is judged by (data/visibility.py); n_r of its rows are
in the batch, and batches of training hold whole requests. In nats a row:

    bce       (1/n) sum_i  softplus(s_i) - y_i s_i
    pairwise  (1/n) sum_r  n_r  mean of softplus(s_j - s_i) over the pairs of r with y_i = 1, y_j = 0
    listwise  (1/n) sum_r  sum over i in r with y_i = 1 of  -ln( exp(s_i) / sum_{j in r} exp(s_j) )
    joint     bce + loss_weight (1/n) sum_r  sum over i in r with y_i = 1 of  -ln( p_i / sum_{j in r} p_j ),  p = sigmoid(s)
    jrc       bce + loss_weight (1/n) sum_r  sum over i in r of  -ln( exp(z_i s_i) / sum_{j in r} exp(z_i s_j) ),  z = y - 1/2

- *pairwise* is RankNet (Burges et al. 2005, Learning to rank using gradient descent, ICML) with a certain order for each pair.
  The pairs of a request grow with the square of its rows; their mean times the rows lets each row count once, as request-GAUC
  does: over ln 2 the loss is an upper bound of 1 - request-GAUC, times the share of rows that it judges. Requests with a single
  label have no pairs.
- *listwise* is the softmax cross-entropy that ListNet (Cao et al. 2007, ICML) comes to for one positive, of every positive alike
  (as SoftmaxLoss of TF-Ranking): a request counts as often as it has positives, so that large ones weigh by their size and not by
  its square. Requests of one row and those without a positive say nothing.
- *joint* is regression compatible ranking (Bai et al. 2023, Regression compatible listwise objectives for calibrated ranking with
  binary relevance, CIKM, arXiv:2211.01494): both parts have their minimum where p are the probabilities, because a list whose
  positives weigh alike is explained best by shares in proportion to them. A softmax beside bce would pull elsewhere. bce keeps
  its weight, so that further labels keep theirs beside it.
- *jrc* is joint optimisation of ranking and calibration (Sheng et al. 2023, Joint optimization of ranking and calibration with
  contextualized hybrid model, KDD, arXiv:2208.06164). There a model has a logit for each of the two outcomes; their difference
  is the logit of bce, and each example is to stand out among those of its context by the logit of what happened to it. A model
  with one logit s has the pair (s / 2, -s / 2), whose difference it is. The paper's weights alpha of bce and 1 - alpha of the
  list part are here 1 and loss_weight = (1 - alpha) / alpha, for the same reason as in *joint*.

Every sum is divided by the rows of the batch, those that say nothing included: batches of several processes, weighted by their
rows, then have the loss of their union, and no batch counts more because few of its requests say something.

Logarithms of sums are taken from the largest member on, differences before exponentials, in float32 whatever the precision of the
model. Costs are O(n), of pairwise O(pairs) with memory for PAIRS of them at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import TrainConfig
from ..data.dataset import RankingData

PAIRS = 1 << 20
"""Looked at together: some 40 MB."""


@dataclass(frozen=True)
class Lists:
    """Which rows of a batch are of one request."""

    request: Tensor
    """int64 [n], 0 .. count - 1"""
    count: int


def lists_of(example: np.ndarray, data: RankingData) -> Lists:
    """The requests of a batch's examples, by their ids, int64 [n]."""
    request = data.request[example % data.log.meta.events]
    names, place = np.unique(request, return_inverse=True)
    return Lists(torch.from_numpy(place), len(names))


def main_loss(config: TrainConfig, logit: Tensor, label: Tensor, lists: Lists | None) -> Tensor:
    """The loss that a config names, a scalar.

    Args:
        logit, label: floating [n].
        lists: None will do for bce.
    """
    if config.loss == "bce":
        return F.binary_cross_entropy_with_logits(logit, label)
    assert lists is not None, "the other losses compare rows of a request"
    if config.loss == "pairwise":
        return pairwise(logit, label, lists)
    if config.loss == "listwise":
        return listwise(logit, label, lists)
    if config.loss == "jrc":
        within = listwise(logit / 2, label, lists) + listwise(-logit / 2, 1 - label, lists)
    else:
        within = listwise(F.logsigmoid(logit), label, lists)
    return F.binary_cross_entropy_with_logits(logit, label) + config.loss_weight * within


def listwise(weight: Tensor, label: Tensor, lists: Lists) -> Tensor:
    """Cross-entropy of the positives among the shares of their requests, over the rows: a scalar.

    Args:
        weight: logarithms of what shares are in proportion to, [n].
        label: [n].
    """
    high = weight.new_full((lists.count,), -torch.inf).scatter_reduce(0, lists.request, weight.detach(), "amax")
    apart = weight - high[lists.request]
    total = weight.new_zeros(lists.count).index_add(0, lists.request, apart.exp())
    return -(label * (apart - total.log()[lists.request])).sum() / len(weight)


def pairwise(score: Tensor, label: Tensor, lists: Lists) -> Tensor:
    """RankNet's loss within requests, over the rows: a scalar.

    Args:
        score, label: [n].
    """
    positive, negative = (label > 0.5).nonzero().squeeze(1), (label <= 0.5).nonzero().squeeze(1)
    negative = negative[lists.request[negative].argsort(stable=True)]
    # Of each request: its negatives stand together, and each of its positives meets all of them.
    positives, negatives = (torch.bincount(lists.request[rows], minlength=lists.count) for rows in (positive, negative))
    rows, pairs = (counted.to(score.dtype) for counted in (positives + negatives, positives * negatives))
    weight = rows / pairs.clamp(min=1) / len(score)
    own = lists.request[positive]
    loss = _PairLoss.apply(
        score, positive, negative, (negatives.cumsum(0) - negatives)[own], negatives[own].cumsum(0), weight[own]
    )
    assert isinstance(loss, Tensor)
    return loss


class _PairLoss(torch.autograd.Function):
    """The sum over pairs, whose slopes are added up on the way: no pair is kept for the way back."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, score: Tensor, positive: Tensor, negative: Tensor, first: Tensor, end: Tensor, weight: Tensor
    ) -> Tensor:
        """
        Args:
            score: [n].
            positive, negative: rows, [P] and [N].
            first: [P]: where among `negative` those that a positive meets begin.
            end: [P]: pairs of the positives up to each one.
            weight: [P]: of each of its pairs.
        """
        total, slopes = score.new_zeros(()), torch.zeros_like(score)
        begin = end - end.diff(prepend=end.new_zeros(1))
        pairs = int(end[-1]) if len(end) else 0
        for start in range(0, pairs, PAIRS):
            pair = torch.arange(start, min(start + PAIRS, pairs), device=score.device)
            of = torch.searchsorted(end, pair, right=True)
            above, below = positive[of], negative[first[of] + pair - begin[of]]
            lead, each = score[above] - score[below], weight[of]
            total -= (each * F.logsigmoid(lead)).sum()
            slope = each * torch.sigmoid(-lead)
            slopes.index_add_(0, below, slope).index_add_(0, above, -slope)
        ctx.save_for_backward(slopes)
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return above[0] * slopes, None, None, None, None, None
