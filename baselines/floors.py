"""Floors: scores that need no learning by gradients. A ranker that does not beat `ctr` has learnt nothing worth its cost.

`random` knows nothing, `popularity` how often an item was liked, `own-rate` how often the user liked what the example may see
of the past, `ctr` the click rates of user, item and context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, Field, ModelInfo, NotNegative, PointwiseBatch, Ranker
from ._inputs import event_fields
from ._layers import logit


class LabelCounts(nn.Module):
    """How often each value of a single-valued field was shown, and with label 1."""

    shown: Tensor
    positive: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.register_buffer("shown", torch.zeros(field.size, dtype=torch.int64))
        self.register_buffer("positive", torch.zeros(field.size, dtype=torch.int64))

    def add(self, ids: Tensor, label: Tensor) -> None:
        """Count examples: ids int64 [n], label [n] of 0 and 1."""
        self.shown.index_add_(0, ids, torch.ones_like(ids))
        self.positive.index_add_(0, ids, label.long())

    def both(self) -> tuple[Tensor, Tensor]:
        """Shown and positive, float64 [size], on the CPU."""
        return self.shown.cpu().double(), self.positive.cpu().double()


@dataclass(frozen=True)
class RandomConfig:
    """Nothing to choose."""


class RandomFloor(Ranker):
    """A hash of the example's content and the seed, spread thinly around the base rate: AUC one half, sane logloss."""

    seed: Tensor
    SPREAD = 0.1
    """Width of the logits' range: wide enough for distinct float32 probabilities, too narrow to hurt the logloss."""

    def __init__(self, config: RandomConfig, spec: DataSpec) -> None:
        super().__init__()
        self.base = logit(spec.positive_rate)
        self.register_buffer("seed", torch.randint(2**62, ()))

    def observe(self, batch: PointwiseBatch) -> None:
        """Learns nothing."""

    def forward(self, batch: PointwiseBatch) -> Tensor:
        x = hash_of(hash_of(batch.key) ^ self.seed)
        uniform = (x >> 40 & 0xFFFFFF).float() / 2**24
        return self.base + self.SPREAD * (uniform - 0.5)


def hash_of(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 (Steele et al. 2014): int64 -> int64, one to one, wraps around."""
    x = x + -7046029254386353131
    x = (x ^ (x >> 30 & 2**34 - 1)) * -4658895280553007687
    x = (x ^ (x >> 27 & 2**37 - 1)) * -7723592293110705685
    return x ^ (x >> 31 & 2**33 - 1)


@dataclass(frozen=True)
class PopularityConfig:
    """Nothing to choose: intercept and slope are fitted."""


class Popularity(Ranker):
    """logit = a + b ln(1 + positives of the item in training), with a and b >= 0 by maximum likelihood."""

    weights: Tensor

    def __init__(self, config: PopularityConfig, spec: DataSpec) -> None:
        super().__init__()
        self.counts = LabelCounts(spec.item[0])
        self.register_buffer("weights", torch.tensor([logit(spec.positive_rate), 0.0]))

    def observe(self, batch: PointwiseBatch) -> None:
        self.counts.add(_single(batch, "item"), batch.label)

    def finish(self) -> None:
        shown, positive = self.counts.both()
        self.weights.copy_(_fit_line(positive.log1p(), shown, positive))

    def forward(self, batch: PointwiseBatch) -> Tensor:
        intercept, slope = self.weights
        return intercept + slope * self.counts.positive[_single(batch, "item")].float().log1p()


def _fit_line(x: Tensor, shown: Tensor, positive: Tensor) -> Tensor:
    """[a, b] of the logistic regression on x [values] with `positive` of `shown` labels 1 at each value; b >= 1e-3.

    Newton's method on two numbers; the lower bound keeps the order by popularity where the data says the opposite.
    """
    design = torch.stack([torch.ones_like(x), x], dim=1)
    weights = x.new_zeros(2)
    for _ in range(30):
        p = (design @ weights).sigmoid()
        gradient = design.T @ (positive - shown * p) - 1e-3 * weights
        hessian = (design * (shown * p * (1 - p)).unsqueeze(1)).T @ design + 1e-3 * torch.eye(2, dtype=x.dtype)
        weights = weights + torch.linalg.solve(hessian, gradient).clamp(-2, 2)
        weights[1] = weights[1].clamp(min=1e-3)
    return weights


def _single(batch: PointwiseBatch, name: str) -> Tensor:
    ids = batch.fields[name]
    assert isinstance(ids, Tensor), f"{name} holds several values a row"
    return ids


@dataclass(frozen=True)
class OwnRateConfig:
    """Nothing to choose: the prior is estimated."""


class OwnRate(Ranker):
    """logit of the share of positives in the visible history, smoothed towards the base rate; it knows nothing of the item.

    Its use is to show what a metric makes of a user's own past: see docs/ideas/requests.md.
    """

    strength: Tensor

    def __init__(self, config: OwnRateConfig, spec: DataSpec) -> None:
        super().__init__()
        self.rate = spec.positive_rate
        self.counts = LabelCounts(spec.user[0])
        self.register_buffer("strength", torch.ones(()))

    def observe(self, batch: PointwiseBatch) -> None:
        self.counts.add(_single(batch, "user"), batch.label)

    def finish(self) -> None:
        self.strength.fill_(prior_strength(*self.counts.both()))

    def forward(self, batch: PointwiseBatch) -> Tensor:
        seen = batch.history.offsets.diff()
        total = nn.functional.pad(batch.history.label.cumsum(0), (1, 0))
        positive = total[batch.history.offsets[1:]] - total[batch.history.offsets[:-1]]
        return ((positive + self.strength * self.rate) / (seen + self.strength)).logit()


@dataclass(frozen=True)
class CTRConfig:
    """Hyper-parameters of the count-based CTR floor."""

    strength: NotNegative = 0.0
    """Examples at the base rate that are added to every value's counts; 0: estimated for each field from its own counts."""
    side_information: bool = False
    """Also side information of user and item. Its rates are already in theirs: adding them usually hurts."""


class ClickRates(Ranker):
    """logit = base + sum over fields of (logit(smoothed click rate of the field's value) - base).

    Fields are user, item and the logged context (each with one value a row). A value never seen adds nothing.
    """

    def __init__(self, config: CTRConfig, spec: DataSpec) -> None:
        super().__init__()
        logged = event_fields(spec)[len(spec.item) :]
        side = (*spec.user[1:], *spec.item[1:]) if config.side_information else ()
        fields = tuple(field for field in (spec.user[0], spec.item[0], *logged, *side) if not field.multi)
        self.strength = config.strength
        self.names = tuple(field.name for field in fields)
        self.base = logit(spec.positive_rate)
        self.counts = nn.ModuleList(LabelCounts(field) for field in fields)
        for at, field in enumerate(fields):
            self.register_buffer(f"effect_{at}", torch.zeros(field.size))

    def observe(self, batch: PointwiseBatch) -> None:
        for name, counts in zip(self.names, self.counts, strict=True):
            assert isinstance(counts, LabelCounts)
            counts.add(_single(batch, name), batch.label)

    def finish(self) -> None:
        for at, counts in enumerate(self.counts):
            assert isinstance(counts, LabelCounts)
            shown, positive = counts.both()
            rate = positive.sum() / shown.sum()
            strength = self.strength or prior_strength(shown, positive)
            smoothed = (positive + strength * rate) / (shown + strength)
            self.get_buffer(f"effect_{at}").copy_(smoothed.logit() - rate.logit())

    def forward(self, batch: PointwiseBatch) -> Tensor:
        effects = [self.get_buffer(f"effect_{at}")[_single(batch, name)] for at, name in enumerate(self.names)]
        return self.base + torch.stack(effects).sum(0)


def prior_strength(shown: Tensor, positive: Tensor) -> float:
    """Examples that a field's prior is worth: a + b of the beta distribution of its values' rates, by moments.

    Kleinman 1973 (J. Am. Stat. Assoc. 68): the variance of rates between values, beyond that of a binomial, gives
    rho = 1 / (a + b + 1). The result lies in [1, 10^4].

    Args:
        shown, positive: float64 counts, one per value.
    """
    many = shown > 1
    n, rate = shown[many], positive[many] / shown[many]
    mean = (n * rate).sum() / n.sum()
    spread = (n * (rate - mean).square()).sum() / (mean * (1 - mean))
    values, extra = len(n) - 1, n.sum() - n.square().sum() / n.sum()
    rho = float((spread - values) / (extra - values))
    return min(max(1 / rho - 1, 1.0), 1e4) if rho > 0 else 1e4


RANDOM = ModelInfo(
    name="random",
    family="floor",
    view="pointwise",
    config=RandomConfig,
    build=RandomFloor,
    summary="a hash of the example: knows nothing",
    paper="none",
    code="own",
    fit="counts",
)

POPULARITY = ModelInfo(
    name="popularity",
    family="floor",
    view="pointwise",
    config=PopularityConfig,
    build=Popularity,
    summary="how often the item was liked in training",
    paper="none",
    code="own",
    fit="counts",
)

OWN_RATE = ModelInfo(
    name="own-rate",
    family="floor",
    view="pointwise",
    config=OwnRateConfig,
    build=OwnRate,
    summary="smoothed share of positives in the user's visible past",
    paper="smoothing: Kleinman 1973, J. Am. Stat. Assoc. 68",
    code="own",
    fit="counts",
)

CTR = ModelInfo(
    name="ctr",
    family="floor",
    view="pointwise",
    config=CTRConfig,
    build=ClickRates,
    summary="smoothed click rates of user, item and logged context, added as logits",
    paper="smoothing: Kleinman 1973, J. Am. Stat. Assoc. 68",
    code="own",
    fit="counts",
)
