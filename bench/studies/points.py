"""The points of a study: experiments that differ in one thing, each of one run a seed or of several that stand as one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import registry
from ..config import DataConfig, Settings, TrainConfig, resolve
from ..data.steps.declared import Step
from ..runs.cell import Cell, plan
from ..typed import from_dict
from .offers import Offers

Size = Literal["small", "full"]
"""small: minutes on two cores with ml-100k. full: what a finding should rest on."""


MORE_EPOCHS = 10
"""Of a run on part of the training examples, as a multiple of the usual ones, at the most."""
STEP = 3.0
"""Between neighbouring learning rates among which a point chooses."""


@dataclass(frozen=True)
class Scope:
    """What a study is asked about."""

    models: tuple[str, ...]
    size: Size = "small"
    positive_only: bool = False
    """The log has no exposed negatives, neither to train on nor to test on."""
    series: tuple[str, ...] = ()
    """Patterns such as `* data`: only series with such a name, and what they are compared with; all if empty."""
    dataset: str = DataConfig.dataset
    """A registered name or the path of a YAML file."""
    steps: tuple[Step, ...] = ()
    """That the data set declares."""
    idle_steps: tuple[str, ...] = ()
    """Variants of the log that would be the log itself, because their steps leave nothing out."""
    train_shares: tuple[float, ...] = ()
    """Of each window but the first that the end of the log is cut into: which share of its training examples is as many as the
    first has."""
    offers: Offers = dataclasses.field(default_factory=Offers)
    """What the log has to be asked about."""
    settings: Settings = dataclasses.field(default_factory=Settings)
    """Of all points, where a point does not say otherwise."""
    folder: Path = Path()
    """Where the study may keep files that its points need."""

    @property
    def data(self) -> DataConfig:
        """Raises UserError: the data settings are wrong."""
        return from_dict(DataConfig, self.settings.data, "data")

    @property
    def sampled_test(self) -> bool:
        """Test negatives are sampled: anew for each split, so that two splits share hardly any."""
        return self.positive_only or self.data.test_negatives not in ("default", "exposed")


@dataclass(frozen=True)
class PartOfPoint:
    """A run of a point."""

    settings: tuple[str, ...] = ()
    """`section.key=value`, over those of its point."""
    domains: tuple[str, ...] = ()
    """Those of whose test rows it judges; if empty, it judges all that it has scored."""
    rate_of: str = ""
    """Label of the point whose learning rate it is trained with; if empty, that of its own."""


@dataclass(frozen=True)
class Point:
    """One experiment of a study, of as many seeds as are asked for."""

    series: str
    """The line that it belongs to: a model, a source of negatives, a size."""
    at: str | float
    """Its place along the axis."""
    model: str
    settings: tuple[str, ...] = ()
    """`section.key=value`, over those that the whole study is run with."""
    rates: tuple[float, ...] = ()
    """Learning rates, ascending, of which the best by validation is kept, because another setting may want another one; they are
    extended while the best lies at their edge. Empty: the model's own. The first part tries them for all."""
    factor: str = ""
    """What its series varies, in a study whose series vary several things: a source of negatives, what grows."""
    parts: tuple[PartOfPoint, ...] = (PartOfPoint(),)
    """Its runs, which together judge its test rows; of a row that several judge, the later counts."""

    @property
    def rates_of(self) -> tuple[str, ...]:
        """Labels of the points whose learning rates its runs are trained with."""
        return tuple(dict.fromkeys(part.rate_of for part in self.parts if part.rate_of))

    @property
    def label(self) -> str:
        return f"{self.series} @ {self.at}"

    @property
    def side_by_side(self) -> bool:
        """Its runs are models for different requests, all of which are kept; else each takes the place of the one before."""
        return any(part.domains for part in self.parts)

    @property
    def candidates(self) -> tuple[tuple[str, ...], ...]:
        """What is tried of it: further settings."""
        return tuple((f"{self.model}.train.lr={rate:.3g}",) for rate in self.rates) or ((),)

    def extended(self, chosen: tuple[str, ...]) -> Point | None:
        """With one learning rate more beyond the edge that was chosen; None if that lies inside."""
        if len(self.rates) < 2 or chosen not in (self.candidates[0], self.candidates[-1]):
            return None
        if chosen == self.candidates[0]:
            return dataclasses.replace(self, rates=(_rounded(self.rates[0] / STEP), *self.rates))
        return dataclasses.replace(self, rates=(*self.rates, _rounded(self.rates[-1] * STEP)))


def retuned(model: str, size: Size) -> tuple[float, ...]:
    """Learning rates that a point begins with: at full size three."""
    return () if size == "small" else rates(model)


def rates(model: str) -> tuple[float, ...]:
    """A model's own learning rate and its neighbours; none for a model that has no rate."""
    info = registry.info(model)
    if info.fit != "gradient":
        return ()
    usual = info.train.get("lr", TrainConfig.lr)
    return tuple(_rounded(usual * factor) for factor in (1 / STEP, 1.0, STEP))


def as_many_steps(model: str, scope: Scope, share: float) -> tuple[str, ...]:
    """Settings of a run on a share of the training examples, by which it may take about as many steps as on all of them and may
    wait as many for a better validation. An epoch of few examples has few steps: with the same number of epochs, little data
    would also mean little training. At most MORE_EPOCHS times the usual epochs."""
    factor = min(1 / share, MORE_EPOCHS)
    if registry.info(model).fit != "gradient" or factor <= 1:
        return ()
    usual = resolve(registry.info(model), scope.settings).train
    longer = {key: math.ceil(getattr(usual, key) * factor - 1e-9) for key in ("epochs", "patience")}
    return tuple(f"{model}.train.{key}={number}" for key, number in longer.items())


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")


def against(points: Sequence[Point], reference: Callable[[Point], bool]) -> list[tuple[Point, Point]]:
    """Every point with the one of its series that `reference` names."""
    named = {point.series: point for point in points if reference(point)}
    return [(point, named[point.series]) for point in points if point is not named[point.series]]


def no_pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """For a study that compares no two points."""
    return ()


def cells(
    point: Point,
    candidate: tuple[str, ...],
    settings: Settings,
    seeds: int,
    chosen: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Cell]:
    """A point as experiments, one per seed and part.

    Args:
        chosen: label of a point -> its candidate, for parts that are trained with the rate of another point.
    """
    runs = []
    for part in point.parts:
        rate = (chosen or {}).get(part.rate_of, candidate)
        changed = settings.changed([*point.settings, *part.settings, *rate], tuple(registry.MODELS))
        runs.append(plan((point.model,), changed, seeds))
    return [cell for seed in zip(*runs, strict=True) for cell in seed]
