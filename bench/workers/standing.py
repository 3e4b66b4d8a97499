"""How the work in a storage stands, study by study: what was asked for, done, failed, lost and is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ..search import budget
from ..search.budget import Ledger
from ..search.lease import Watch
from ..search.order import ORDER, SearchOrder, order_of
from .cells import CELL, RESULTS
from .worker import asked


@dataclass(frozen=True)
class StudyStanding:
    """Of one search, or of all cells of a results folder."""

    study: str
    asked: int
    """Trials of the budget, or different cells."""
    complete: int
    pruned: int
    failed: int
    """By themselves, or because three workers died with it."""
    handed_on: int
    """Attempts whose worker died or was interrupted; each has a successor."""
    waiting: int
    running: tuple[str, ...]
    """Who is at it: machine and process."""
    open: bool
    """Whether there is more to do, of a search also trials that nobody began."""
    dead: int
    """Of those that run: by the look of it nobody is. Of other machines, only a worker that looks again can tell."""


def standings(storage: BaseStorage) -> Iterator[StudyStanding]:
    """Of all studies of this program, ordered by name.

    Raises:
        UserError: an order was written by another version.
    """
    watch = Watch()
    for name, attributes in asked(storage).items():
        now = Ledger(storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False))
        if RESULTS in attributes:
            wanted, further = len({trial.user_attrs[CELL] for trial in now.trials}), False
        else:
            budget_of = order_of(SearchOrder, attributes[ORDER], f"study {name}").budget
            wanted, further = budget_of.trials, now.open(budget_of)
        waiting = sum(trial.state == TrialState.WAITING for trial in now.trials) + len(now.orphans)
        running = [trial for trial in now.trials if trial.state == TrialState.RUNNING]
        yield StudyStanding(
            study=name,
            asked=wanted,
            complete=sum(trial.state == TrialState.COMPLETE for trial in now.counted),
            pruned=sum(trial.state == TrialState.PRUNED for trial in now.counted),
            failed=sum(trial.state == TrialState.FAIL for trial in now.counted),
            handed_on=sum(map(budget.handed_on, now.trials)),
            waiting=waiting,
            running=tuple(map(_who, running)),
            open=further or bool(waiting or running),
            dead=sum(map(watch.dead, running)),
        )


def _who(trial: FrozenTrial) -> str:
    lease = trial.user_attrs.get(budget.LEASE)
    return "somebody who did not begin yet" if lease is None else f"{lease['machine']} process {lease['pid']}"
