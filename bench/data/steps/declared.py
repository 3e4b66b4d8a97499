"""The steps that `steps:` of a YAML file may declare, and what each of them looks at.

`rows` says which rows a step counts and leaves out. `training`: those that the data set's own split trains on; validation and
test stay as they are, so that all variants of a log are judged by the same rows. `all`: all rows. A count over all rows knows the
validation and test periods: whether a user or an item is in the log then says something of its future.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from ...errors import UserError, unknown_name
from ...typed import from_dict

Looked = Literal["training", "all"]


@dataclass(frozen=True)
class KCore:
    """Leave out users and items with few rows, again and again until every one that is left has as many."""

    users: Annotated[int, Ge(1)] = 5
    """Rows that a user must have."""
    items: Annotated[int, Ge(1)] = 5
    """Rows that an item must have."""
    count: Literal["all", "positives"] = "all"
    """Whether rows with the label 0 count."""
    rows: Looked = "training"
    step: Literal["k-core"] = "k-core"
    counts_rows: ClassVar[bool] = True
    """What it leaves out of one moment depends on rows of later ones."""


@dataclass(frozen=True)
class Repeats:
    """Of rows of one user with one item and action, keep the first, and each that comes later than `within` after the one before
    it."""

    within: Annotated[float, Gt(0)] | None = None
    """Seconds; None: whatever time lies between."""
    any_action: bool = False
    """Whatever the user did: what was bought after it was looked at is a repeat too."""
    rows: Looked = "all"
    step: Literal["repeats"] = "repeats"
    counts_rows: ClassVar[bool] = False


@dataclass(frozen=True)
class Bots:
    """Leave out users who have ever done more than people can: `events` rows or more within `seconds`."""

    events: Annotated[int, Ge(2)] = 300
    seconds: Annotated[float, Gt(0)] = 3600.0
    rows: Looked = "training"
    step: Literal["bots"] = "bots"
    counts_rows: ClassVar[bool] = True


@dataclass(frozen=True)
class ShortHistories:
    """Leave out users with fewer than `events` rows."""

    events: Annotated[int, Ge(2)] = 5
    rows: Looked = "training"
    step: Literal["short-histories"] = "short-histories"
    counts_rows: ClassVar[bool] = True


@dataclass(frozen=True)
class SampleUsers:
    """Keep a share of the users, by a hash of their ids: a smaller share lies within a larger one of the same seed."""

    share: Annotated[float, Gt(0), Lt(1)] = 0.1
    seed: Annotated[int, Ge(0)] = 0
    rows: Looked = "all"
    step: Literal["sample-users"] = "sample-users"
    counts_rows: ClassVar[bool] = False


@dataclass(frozen=True)
class LogSize:
    """How much there is of a log."""

    rows: int
    users: int
    items: int
    positive_rate: float
    """Among the rows that can be examples."""


Step = KCore | Repeats | Bots | ShortHistories | SampleUsers
STEPS: dict[str, type[Step]] = {kind.step: kind for kind in (KCore, Repeats, Bots, ShortHistories, SampleUsers)}


@dataclass(frozen=True)
class StepEffect:
    """What a step did to a log."""

    step: Step
    before: LogSize
    after: LogSize

    def line(self) -> str:
        """For people: what it was, and how rows, users, items and base rate changed."""
        counts = (
            f"{name} {before:,} -> {after:,} ({after / before - 1:+.1%})"
            for name, before, after in (
                ("rows", self.before.rows, self.after.rows),
                ("users", self.before.users, self.after.users),
                ("items", self.before.items, self.after.items),
            )
        )
        rate = f"base rate {self.before.positive_rate:.2%} -> {self.after.positive_rate:.2%}"
        return f"step {in_words(self.step)}: {', '.join(counts)}, {rate}"


def step_counts(effects: Sequence[StepEffect]) -> dict[str, int]:
    """Rows, users and items that each step left, by its place and words: what a record keeps."""
    return {
        f"steps.{at} {in_words(effect.step)}.{name}": getattr(effect.after, name)
        for at, effect in enumerate(effects, 1)
        for name in ("rows", "users", "items")
    }


def read_steps(entries: Any, where: str) -> tuple[Step, ...]:
    """The steps of a YAML file, in its order.

    Args:
        entries: what stands behind `steps:`: for each its name, or keys as in `{step: k-core, users: 10, rows: all}`.

    Raises:
        UserError: a step or key that does not exist, or a value that cannot be.
    """
    if not isinstance(entries, list):
        raise UserError(f"{where} must be a list such as [repeats, {{step: k-core, users: 10}}], not {str(entries)[:60]!r}")
    return tuple(_step(entry, f"{where}[{at}]") for at, entry in enumerate(entries))


def _step(entry: Any, where: str) -> Step:
    keys = {"step": entry} if isinstance(entry, str) else entry
    if not isinstance(keys, dict) or not isinstance(keys.get("step"), str):
        raise UserError(
            f"{where} must be one of {', '.join(STEPS)}, or keys such as {{step: k-core, users: 10}}, not {str(entry)[:60]!r}"
        )
    if keys["step"] not in STEPS:
        raise unknown_name(f"step in {where}", keys["step"], STEPS)
    kind = STEPS[keys["step"]]
    return from_dict(kind, keys, where, kind())


def knows_the_future(step: Step) -> bool:
    """Whether what is left of one moment depends on validation or test rows of later ones."""
    return step.counts_rows and step.rows == "all"


def in_words(step: Step) -> str:
    """The step with all that decides what it does, as in `k-core users=5 items=5 count=all rows=training`."""
    values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step) if field.name != "step"}
    shown = {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items() if value is not None
    }
    return " ".join([step.step, *(f"{name}={value}" for name, value in shown.items())])


def as_entries(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps as plain values that `read_steps` takes."""
    entries = [{"step": step.step, **dataclasses.asdict(step)} for step in steps]
    return [{key: value for key, value in entry.items() if value is not None} for entry in entries]
