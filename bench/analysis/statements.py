"""Everything that a board, a study or the report says, as values: who, by which metric, how much, how sure, and whether it was
declared before. Words are made of them in reporting/words.py alone, and nothing reads a sentence back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Discriminator

from ..data.mismatch import ValidationMismatch
from ..evaluation.stats import Estimate, Metric, Verdict
from ..typed import OrNaN
from .stream_statements import AboveFloors, BeyondEnvelope, Envelopes, FirstWindow, FloorsToTarget, ToTarget
from .study_statements import (
    AtEqualFlops,
    Calibration,
    Candidates,
    CommonTest,
    Crossover,
    Differences,
    FewUsers,
    Held,
    NoMatch,
    NothingLeftOut,
    Otherwise,
    PartOfStudy,
    Probabilities,
    Remark,
    SemanticIds,
    Trend,
)

Basis = Literal["declared", "post hoc"]
"""declared: named in results/declared.yaml before any of the runs was made. post hoc: anything else."""


@dataclass(frozen=True)
class Pair:
    """One row minus another."""

    one: str
    other: str
    metric: Metric
    difference: Estimate
    verdict: Verdict
    """On `one`."""
    basis: Basis
    at_once: int
    """How many comparisons the interval holds for together."""
    untuned: tuple[str, ...] = ()
    """Of the two, the rows that stand beside a tuned one and are not tuned, because their model has no tuned row."""
    kind: Literal["pair"] = "pair"


@dataclass(frozen=True)
class Families:
    """The best generative row minus the best classical one by a metric: the answer of a board."""

    pair: Pair
    floor: str | None
    """A floor whose mean lies above both."""
    kind: Literal["families"] = "families"


@dataclass(frozen=True)
class MissingFamily:
    """The question cannot be asked."""

    family: str
    kind: Literal["missing family"] = "missing family"


@dataclass(frozen=True)
class Disagreement:
    """The two headlines give different verdicts about the families."""

    first: Pair
    """By ranking within a request."""
    second: Pair
    """By AUC."""
    kind: Literal["disagreement"] = "disagreement"


@dataclass(frozen=True)
class Headline:
    """Which metric orders the rows, and why."""

    metric: Metric
    users: int
    """With a request that holds both labels."""
    requests: int
    rows: int
    """Examples of such requests."""
    test_rows: int
    least_users: int
    """With fewer, ranking within requests is not what decides."""
    kind: Literal["headline"] = "headline"


@dataclass(frozen=True)
class AucPairs:
    """What AUC compares."""

    within_user: OrNaN
    """Share of its pairs of a positive and a negative that are of one user."""
    within_request: OrNaN
    kind: Literal["auc pairs"] = "auc pairs"


@dataclass(frozen=True)
class Best:
    """The row with the best value, and the others that may be the truly best."""

    metric: Metric
    label: str
    value: Estimate
    others: tuple[str, ...]
    floors: tuple[str, ...]
    """Floors among the others."""
    kind: Literal["best"] = "best"


@dataclass(frozen=True)
class Smallest:
    """The smallest difference that a single comparison of two typical rows could show."""

    metric: Metric
    half_width: OrNaN
    detectable: OrNaN
    """The true difference that would be shown in 80% of samples."""
    margin: float
    """Differences up to it matter to nobody, by the data set's card."""
    kind: Literal["smallest difference"] = "smallest difference"


@dataclass(frozen=True)
class AgainstFloor:
    """Which rows are shown to be better than the best floor, and which are not."""

    metric: Metric
    floor: str
    """The floor with the best value."""
    pairs: tuple[Pair, ...]
    """Every other row that is no floor minus the floor, the highest first."""
    kind: Literal["against floor"] = "against floor"

    def of(self, verdict: Verdict) -> tuple[str, ...]:
        """Labels of the rows with a verdict, in order."""
        return tuple(pair.one for pair in self.pairs if pair.verdict == verdict)


@dataclass(frozen=True)
class NoFloor:
    """No floor was run."""

    kind: Literal["no floor"] = "no floor"


@dataclass(frozen=True)
class Untuned:
    """No row is tuned."""

    kind: Literal["untuned"] = "untuned"


@dataclass(frozen=True)
class Mismatch:
    """How far validation, by which epochs and settings are chosen, is from the test."""

    facts: ValidationMismatch
    kind: Literal["mismatch"] = "mismatch"


@dataclass(frozen=True)
class CutWinners:
    """Tuned rows whose settings come from a trial that a limit of time ended."""

    labels: tuple[str, ...]
    kind: Literal["cut winners"] = "cut winners"


@dataclass(frozen=True)
class SampledTest:
    """Test negatives are no impressions."""

    negatives: str
    rate: float
    """Sampled items per positive."""
    repeats: bool
    """Whether positives may be items that their user met before."""
    kind: Literal["sampled test"] = "sampled test"


@dataclass(frozen=True)
class CostOf:
    """Of a row whose times may be compared."""

    label: str
    clock: Literal["CPU time", "wall time"]
    train_seconds: float
    latency_ms: float
    """To score 100 candidates."""
    flops_per_example: float


@dataclass(frozen=True)
class Costs:
    """What the best generative row takes beside the best classical one."""

    generative: CostOf
    classical: CostOf
    kind: Literal["costs"] = "costs"


@dataclass(frozen=True)
class SeedCounts:
    """Rows differ in their number of seeds."""

    counts: dict[str, int]
    """Label -> seeds."""
    kind: Literal["seed counts"] = "seed counts"


@dataclass(frozen=True)
class SingleSeeds:
    """Rows whose training noise is not measured by themselves."""

    labels: tuple[str, ...]
    every: bool
    """Whether these are all rows."""
    kind: Literal["single seeds"] = "single seeds"


@dataclass(frozen=True)
class Unlearnt:
    """Runs whose validation does not show that they had learnt anything when training ended."""

    runs: dict[str, int]
    """Label -> how many, of rows that have any."""
    of: dict[str, int]
    """The same labels -> all runs of the row."""
    kind: Literal["unlearnt"] = "unlearnt"


@dataclass(frozen=True)
class Machine:
    """Where runs were made."""

    device: str
    processor: str
    """The accelerator or, on a CPU, the processor."""
    threads: int


@dataclass(frozen=True)
class Machines:
    """Runs come from several machines."""

    machines: tuple[Machine, ...]
    kind: Literal["machines"] = "machines"


@dataclass(frozen=True)
class ProcessCounts:
    """Runs differ in how many processes trained together."""

    counts: tuple[int, ...]
    kind: Literal["process counts"] = "process counts"


@dataclass(frozen=True)
class Loaded:
    """Runs that began on a machine with more work than cores."""

    loaded: int
    runs: int
    kind: Literal["loaded"] = "loaded"


@dataclass(frozen=True)
class Differs:
    """Something besides models and settings differs between runs: which rows have which value."""

    what: Literal["kernel", "version", "code", "precision", "matmul"]
    name: str
    """Of the operation or the package; empty for code and precision."""
    values: dict[str, tuple[str, ...]]
    """Value -> labels of rows with a run of it."""
    kind: Literal["differs"] = "differs"


@dataclass(frozen=True)
class Uncommitted:
    """Runs of code that no commit holds."""

    runs: int
    kind: Literal["uncommitted"] = "uncommitted"


@dataclass(frozen=True)
class Reachable:
    """The best AUC that simulated data allows, over all events."""

    auc: float
    kind: Literal["reachable"] = "reachable"


Statement = Annotated[
    Pair
    | Families
    | MissingFamily
    | Disagreement
    | Headline
    | AucPairs
    | Best
    | Smallest
    | AgainstFloor
    | NoFloor
    | Untuned
    | CutWinners
    | Mismatch
    | SampledTest
    | Costs
    | SeedCounts
    | SingleSeeds
    | Unlearnt
    | Machines
    | ProcessCounts
    | Loaded
    | Differs
    | Uncommitted
    | Reachable
    | Differences
    | PartOfStudy
    | Held
    | Candidates
    | Calibration
    | Probabilities
    | Remark
    | CommonTest
    | Crossover
    | NothingLeftOut
    | SemanticIds
    | Trend
    | Otherwise
    | AtEqualFlops
    | NoMatch
    | FewUsers
    | ToTarget
    | FloorsToTarget
    | AboveFloors
    | BeyondEnvelope
    | Envelopes
    | FirstWindow,
    Discriminator("kind"),
]

S = TypeVar("S")


def of_kind(statements: tuple[Statement, ...], kind: type[S]) -> list[S]:
    """Those of one class, in their order."""
    return [one for one in statements if isinstance(one, kind)]
