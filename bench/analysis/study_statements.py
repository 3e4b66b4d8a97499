"""What studies say beside what boards say; see statements.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..data.semantic_ids.codes import CodeFacts
from ..evaluation.stats import Estimate, Metric, Verdict
from ..typed import OrNaN

Place = str | int | float
"""Along the axis of a study."""


@dataclass(frozen=True)
class DifferenceAt:
    """A point of a study minus what it is compared with."""

    at: Place
    """Its place along the axis."""
    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Differences:
    """Points of one series against one reference, or each against the point before it."""

    series: str
    metric: Metric
    reference: Place
    """What all are compared with or, of steps, where the way begins."""
    differences: tuple[DifferenceAt, ...]
    steps: bool
    at_once: int
    """How many comparisons the intervals hold for together."""
    part: str = ""
    """A slice of the test examples; empty for all of them."""
    users: int | None = None
    """Of a slice: the users that the metric depends on there."""
    kind: Literal["differences"] = "differences"


@dataclass(frozen=True)
class PartOfStudy:
    """The study was asked about some of its series alone."""

    series: tuple[str, ...]
    """Patterns."""
    kind: Literal["part of study"] = "part of study"


@dataclass(frozen=True)
class Held:
    """How the intervals of a study are to be read."""

    comparisons: int
    margin: float
    kind: Literal["held"] = "held"


@dataclass(frozen=True)
class Candidates:
    """Where the settings of points come from."""

    fewest: int
    most: int
    """Learning rates that points with several of them chose from; 1 if none has several."""
    some_single: bool
    """Whether some points have a single one."""
    monitor: str
    """Which metric of validation chose."""
    step: float
    """Between neighbouring rates."""
    extensions: int
    """How often they were extended at the most, because the best lay at their edge."""
    at_edge: tuple[str, ...]
    """Points whose best rate still lies at the edge."""
    points: int
    kind: Literal["candidates"] = "candidates"


@dataclass(frozen=True)
class Calibrated:
    """Calibration error of a point, mean over seeds, before and after the correction of the odds."""

    at: Place
    before: float
    after: float


@dataclass(frozen=True)
class Calibration:
    """Of a series; a description of these runs, without an interval."""

    series: str
    points: tuple[Calibrated, ...]
    kind: Literal["calibration"] = "calibration"


@dataclass(frozen=True)
class ProbabilitiesAt:
    """What the scores of a point are worth as probabilities, means over seeds."""

    at: Place
    logloss: float
    ece: float
    asked: bool
    """Whether the loss of training asks for probabilities."""


@dataclass(frozen=True)
class Probabilities:
    """Of a series; a description of these runs, without an interval."""

    series: str
    points: tuple[ProbabilitiesAt, ...]
    kind: Literal["probabilities"] = "probabilities"


@dataclass(frozen=True)
class Remark:
    """Something that is to be known of every such study."""

    topic: Literal[
        "dense reach",
        "exposed test",
        "odds",
        "training flops",
        "ids",
        "windows",
        "steps",
        "behaviours",
        "domains",
        "domains of items",
        "side information",
        "cold start",
        "losses",
        "within request",
    ]
    kind: Literal["remark"] = "remark"


@dataclass(frozen=True)
class SemanticIds:
    """Of some points of a study: how well codes tell items apart, and which items have them."""

    facts: CodeFacts
    kind: Literal["semantic ids"] = "semantic ids"


@dataclass(frozen=True)
class OwnTest:
    """A data set of a study beside the test rows that all of its data sets have."""

    name: str
    rows: int
    """Of its own test."""
    value: OrNaN
    """The headline metric on them, mean over seeds of the study's first model there."""


@dataclass(frozen=True)
class CommonTest:
    """Points on different data sets are compared on the test rows that all of them have."""

    rows: int
    metric: Metric
    model: str
    """Whose values stand beside the data sets."""
    common: OrNaN
    """Its value on the common rows, on the first data set."""
    own: tuple[OwnTest, ...]
    kind: Literal["common test"] = "common test"


@dataclass(frozen=True)
class NothingLeftOut:
    """Steps of data engineering that leave nothing out of this log: a model after them is the model without."""

    steps: tuple[str, ...]
    kind: Literal["nothing left out"] = "nothing left out"


@dataclass(frozen=True)
class Crossover:
    """Two models on items of which training has many examples, and on those of which it has few, but some."""

    one: str
    other: str
    """Differences are the first minus the second."""
    share: float
    """Of the training examples that both were trained on."""
    metric: Metric
    least: int
    """Training examples of an item from which on it has many."""
    many: Estimate
    few: Estimate
    apart: Estimate
    """The first difference minus the second, with an interval of its own. All three are single, over users, items and seeds."""
    items_many: int
    items_few: int
    kind: Literal["crossover"] = "crossover"

    @property
    def outcome(self) -> Literal["crossover", "grows", "shrinks", "not shown"]:
        """crossover: ahead where items have many, behind where few. grows, shrinks: what the first is ahead by, towards many."""
        if self.apart.low > 0:
            return "crossover" if self.many.low > 0 and self.few.high < 0 else "grows"
        return "shrinks" if self.apart.high < 0 else "not shown"


Loss = Literal["logloss", "1 - request_gauc", "1 - auc"]


@dataclass(frozen=True)
class HeldOutSize:
    """What the best shape says of the largest size when it is fitted without the largest ones."""

    predicted: float
    observed: float
    error: Estimate


@dataclass(frozen=True)
class Turn:
    """Where a parabola turns."""

    lowest: bool
    at: Estimate
    inside: bool
    """Whether it is among the sizes."""


@dataclass(frozen=True)
class Trend:
    """A loss of one series along an axis."""

    series: str
    loss: Loss
    axis: str
    outcome: Literal["still", "no scaling shown", "not identified", "law"]
    """still: the axis hardly moves."""
    reason: str
    """Why it is no law."""
    first: OrNaN
    last: OrNaN
    """Ends of the axis."""
    slope: Estimate | None
    """For a tenfold size."""
    shape: Literal["constant", "log-linear", "power law", "parabola"]
    parameters: tuple[Estimate, ...]
    """Of the shape, where it is a law."""
    exponent: tuple[float, float] | None
    """95% profile interval of the power law's exponent."""
    turn: Turn | None
    rivals: tuple[str, ...]
    """Shapes that would do as well, by AICc."""
    held_out: HeldOutSize | None
    kind: Literal["trend"] = "trend"


@dataclass(frozen=True)
class Otherwise:
    """The same series by other losses and axes, in brief."""

    series: str
    trends: tuple[Trend, ...]
    kind: Literal["otherwise"] = "otherwise"


@dataclass(frozen=True)
class AtEqualFlops:
    """Two points of two models whose training costs the same."""

    one: str
    other: str
    metric: Metric
    flops: tuple[float, float]
    """Of training."""
    difference: Estimate
    verdict: Verdict
    at_once: int
    kind: Literal["at equal flops"] = "at equal flops"


@dataclass(frozen=True)
class NoMatch:
    """Two models overlap in FLOPs of training, but no two of their points are near."""

    one: str
    other: str
    kind: Literal["no match"] = "no match"


@dataclass(frozen=True)
class FewUsers:
    """Too few test users for anything."""

    least: int
    kind: Literal["few users"] = "few users"
