"""What the trials of a study mean for its budget.

Workers share nothing but the storage, in which a trial may be added by anybody at any time. All rules here are functions of
the trials and their numbers, which the storage gives out in order, so that every worker comes to the same conclusion.

- A trial that is no retry takes the next *place* of the budget; places from the budget's end on are surplus: not trained.
- A trial whose worker died or had no time left is failed and *handed on*: a retry with the same parameters takes over its
  place.
- All others count when they end: complete, pruned, or failed by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

RETRY_OF, ROOT, ATTEMPT = "retry_of", "root", "attempt"
"""Attributes of a retry: the trial that it takes over, the first one of that chain, and its place in the chain from 1."""
REASON = "reason"
"""Attribute of a failed trial: why, in one line."""
SECONDS, EPOCHS, BEST_EPOCH, CUT = "seconds", "epochs", "best_epoch", "cut"
"""Attributes of a trial that ended."""
LEASE = "lease"
"""Attribute of a trial that somebody trains, or did: who, and how far it is; see lease.py."""

DIED, INTERRUPTED, STOPPED = "its worker died", "interrupted", "the time of its command was over"
SURPLUS = "one too many, not trained: another worker was faster"


@dataclass(frozen=True)
class Budget:
    """Of one model. It ends with whichever is reached first."""

    trials: int
    seconds: float = math.inf
    """Training time, summed over trials, validation left out."""


def root(trial: FrozenTrial) -> int:
    """The number of the first trial in its chain of retries; its own if it is no retry."""
    return trial.user_attrs.get(ROOT, trial.number)


def attempt(trial: FrozenTrial) -> int:
    return trial.user_attrs.get(ATTEMPT, 1)


def retry_attributes(number: int, attributes: Mapping[str, Any]) -> dict[str, int]:
    """Attributes of the retry that takes over trial `number`, which has `attributes`."""
    attempt = attributes.get(ATTEMPT, 1) + (attributes[REASON] == DIED)
    return {RETRY_OF: number, ROOT: attributes.get(ROOT, number), ATTEMPT: attempt}


def handed_on(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) in (DIED, INTERRUPTED, STOPPED)


def surplus(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) == SURPLUS


def counts(trial: FrozenTrial) -> bool:
    """It ended and takes its place in the budget for good."""
    return trial.state.is_finished() and not handed_on(trial) and not surplus(trial)


def seconds(trial: FrozenTrial) -> float:
    """Training time so far."""
    return trial.user_attrs.get(SECONDS, trial.user_attrs.get(LEASE, {}).get(SECONDS, 0.0))


class Ledger:
    """All trials of a study at one moment, in the order of their numbers."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        self.trials = trials
        self._places = [trial.number for trial in trials if RETRY_OF not in trial.user_attrs and not surplus(trial)]
        self._retries: dict[int, int] = {}
        for trial in trials:
            if RETRY_OF in trial.user_attrs:
                self._retries.setdefault(trial.user_attrs[RETRY_OF], trial.number)

    def place(self, trial: FrozenTrial) -> int:
        """In the budget, counted from 0; that of its root."""
        return sum(number < root(trial) for number in self._places)

    def within(self, trial: FrozenTrial, budget: Budget) -> bool:
        """Whether a trial is to be trained, not surplus."""
        if RETRY_OF in trial.user_attrs:  # two who noticed the same death may both have asked for a retry
            return self._retries[trial.user_attrs[RETRY_OF]] == trial.number
        others = sum(seconds(one) for one in self._taken() if one.number != trial.number)
        return self.place(trial) < budget.trials and others < budget.seconds

    def open(self, budget: Budget) -> bool:
        """Whether a new trial would be within the budget."""
        return len(self._places) < budget.trials and sum(map(seconds, self._taken())) < budget.seconds

    def limit(self, number: int, own: float, budget: Budget) -> float:
        """How long a running trial, `own` seconds old, may train: an equal share of what is left for those that run."""
        others = [trial for trial in self._taken() if trial.number != number]
        left = budget.seconds - own - sum(map(seconds, others))
        running = sum(trial.state == TrialState.RUNNING for trial in others)
        return own + max(0.0, left) / (1 + running)

    @property
    def waiting(self) -> bool:
        """Whether a retry is there to be taken."""
        return any(trial.state == TrialState.WAITING for trial in self.trials)

    @property
    def orphans(self) -> list[FrozenTrial]:
        """Handed-on trials that nobody takes over: whoever failed them died before asking for a retry."""
        return [trial for trial in self.trials if handed_on(trial) and trial.number not in self._retries]

    @property
    def counted(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if counts(trial)]

    def finished(self, budget: Budget) -> bool:
        """Whether the budget is used up and nothing that belongs to it is under way."""
        under_way = self.waiting or self.orphans or any(trial.state == TrialState.RUNNING for trial in self.trials)
        return not under_way and not self.open(budget)

    def _taken(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if not handed_on(trial) and not surplus(trial)]
