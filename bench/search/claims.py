"""Trials of a study as work that many processes share: who is at which, and what becomes of it when one of them dies.

A trial is taken by moving it from waiting to running, which the storage lets one process do alone. From then on a lease
(lease.py) says that somebody is at work on it. The trial of a dead worker is failed by whoever notices first, and handed on: a
retry with the same parameters is enqueued, which any worker may take.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ..signals import handled
from . import budget
from .budget import Ledger
from .lease import Lease, Watch

ATTEMPTS = 3
"""Workers that may die with a trial before it counts as failed: it may be what kills them."""
PAUSE = 0.5
"""Seconds between two looks at other workers' trials."""


class Claims:
    """One process among those that share the trials of a study."""

    def __init__(self, study: optuna.Study, storage: BaseStorage, carried: Sequence[str] = ()) -> None:
        """`carried`: attributes, beside those of budget.py, that a retry has from the trial that it takes over."""
        self.study, self.storage, self.carried = study, storage, carried
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._watch = Watch()

    def ledger(self) -> Ledger:
        return Ledger(self.study.get_trials(deepcopy=False))

    def frozen(self, number: int) -> FrozenTrial:
        return self.storage.get_trial(self._id(number))

    def take(self, trial: FrozenTrial) -> bool:
        """Begin a waiting trial; False if somebody else did."""
        try:
            return self.storage.set_trial_state_values(self._id(trial.number), TrialState.RUNNING)
        except UpdateFinishedTrialError:  # begun and ended meanwhile
            return False

    def lease(self, number: int, limit: Callable[[float], float]) -> Lease:
        """To hold while the trial is trained, see `Lease`."""
        return Lease(self.storage, self._id(number), limit)

    def bury(self, superfluous: Callable[[FrozenTrial, Ledger], bool] = lambda trial, now: False) -> None:
        """Hand on the trials of dead workers.

        Args:
            superfluous: whether a trial that was taken but never begun is one too many.
        """
        now = self.ledger()
        for trial in now.trials:
            if trial.state == TrialState.RUNNING and self._watch.dead(trial):
                if budget.LEASE not in trial.user_attrs and superfluous(trial, now):
                    self.end(trial.number, TrialState.FAIL, reason=budget.SURPLUS)
                elif budget.attempt(trial) >= ATTEMPTS:
                    reason = f"{budget.DIED}, {ATTEMPTS} times in a row"
                    self.end(trial.number, TrialState.FAIL, reason=reason, seconds=budget.seconds(trial))
                else:
                    self.hand_on(trial, budget.DIED)
        for trial in now.orphans:
            if self._watch.unchanged(f"orphan {trial.number}", trial.number):
                self._ask_for_retry(trial)

    def hand_on(self, trial: FrozenTrial, reason: str) -> None:
        """Fail a trial and let somebody else train it: whoever is the one to fail it asks for that."""
        if self.end(trial.number, TrialState.FAIL, reason=reason):
            self._ask_for_retry(self.frozen(trial.number))

    def interrupted(self, trial: FrozenTrial) -> None:
        """Hand on a trial that this process began and does not go on with."""
        # A second Ctrl-C or SIGTERM does not keep what the first one ended from being handed on.
        with handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):
            self.hand_on(trial, budget.INTERRUPTED)

    def end(self, number: int, state: TrialState, value: float | None = None, **attributes: Any) -> bool:
        """Finish a trial; False if somebody else did already."""
        trial_id = self._id(number)
        try:
            for key, attribute in attributes.items():
                self.storage.set_trial_user_attr(trial_id, key, attribute)
            return self.storage.set_trial_state_values(trial_id, state, None if value is None else [value])
        except UpdateFinishedTrialError:
            return False

    def _ask_for_retry(self, trial: FrozenTrial) -> None:
        carried = {key: trial.user_attrs[key] for key in self.carried}
        attributes = budget.retry_attributes(trial.number, trial.user_attrs)
        self.study.enqueue_trial(trial.params, user_attrs={**carried, **attributes})

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
