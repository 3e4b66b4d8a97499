"""Optuna's trials as the record of a sweep has them, and back: a search whose storage is gone goes on from its record.

The record holds what Optuna learns from, each trial's settings, result and learning curve, so that the next proposal is the one
that the lost storage would have led to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from ..contract import Choice, Range, SearchSpace, Whole
from ..records.sweeps import Axis, Trial
from . import budget
from .sampler import decoded, distributions


def axes(space: SearchSpace) -> dict[str, Axis]:
    """A search space as the record has it."""
    return {name: _axis(one) for name, one in space.items()}


def _axis(searched: Range) -> Axis:
    if isinstance(searched, Choice):
        return Axis("choice", tuple(as_json(searched.values)))
    kind = "whole" if isinstance(searched, Whole) else "log" if searched.log else "real"
    return Axis(kind, (searched.low, searched.high))


def as_json(value: Any) -> Any:
    """A value as it is read back from a file: lists for tuples."""
    return json.loads(json.dumps(value))


def settings_of(space: SearchSpace, params: dict[str, Any]) -> dict[str, Any]:
    """A recorded trial's parameters as settings of the model."""
    return decoded(space, _stored(params))


def _stored(params: dict[str, Any]) -> dict[str, Any]:
    """A recorded trial's parameters as storages keep them."""
    return {name: json.dumps(value) if isinstance(value, list) else value for name, value in params.items()}


def recorded(trials: Sequence[FrozenTrial], space: SearchSpace) -> tuple[Trial, ...]:
    """The trials that ended."""
    return tuple(_recorded(trial, space) for trial in trials if trial.state.is_finished())


def _recorded(trial: FrozenTrial, space: SearchSpace) -> Trial:
    facts = trial.user_attrs
    return Trial(
        number=trial.number,
        state="complete" if trial.state == TrialState.COMPLETE
        else "pruned" if trial.state == TrialState.PRUNED
        else "handed on" if budget.handed_on(trial)
        else "surplus" if budget.surplus(trial)
        else "failed",
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        seconds=float(budget.seconds(trial)),
        epochs=facts.get(budget.EPOCHS, 0),
        best_epoch=facts.get(budget.BEST_EPOCH, 0),
        reason=facts.get(budget.REASON) if trial.state == TrialState.FAIL else None,
        retry_of=facts.get(budget.RETRY_OF),
        params=as_json(decoded(space, trial.params)) if trial.params.keys() == space.keys() else {},
        cut=bool(facts.get(budget.CUT, False)),
        curve=tuple(value for _, value in sorted(trial.intermediate_values.items())),
    )  # fmt: skip


def restored(trials: Sequence[Trial], space: SearchSpace) -> list[FrozenTrial]:
    """Trials of a record for a new storage, which numbers them from 0 on."""
    known = distributions(space)
    numbers = {trial.number: number for number, trial in enumerate(trials)}
    found: list[FrozenTrial] = []
    for trial in trials:
        facts: dict[str, Any] = {
            budget.SECONDS: trial.seconds,
            budget.EPOCHS: trial.epochs,
            budget.BEST_EPOCH: trial.best_epoch,
            budget.CUT: trial.cut,
        }
        if trial.reason is not None:
            facts[budget.REASON] = trial.reason
        if trial.retry_of is not None:
            number = numbers[trial.retry_of]
            facts |= budget.retry_attributes(number, found[number].user_attrs)
        params = _stored(trial.params)
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        found.append(
            create_trial(
                state=states.get(trial.state, TrialState.FAIL),
                value=trial.value,
                params=params,
                distributions={name: known[name] for name in params},
                user_attrs=facts,
                intermediate_values=dict(enumerate(trial.curve, start=1)),
            )
        )
    return found


def lost(trials: Sequence[Trial], now: Sequence[Trial]) -> int:
    """How many of the trials are not among those of now, whatever their numbers."""
    left = [_content(trial) for trial in now]
    missing = 0
    for trial in trials:
        content = _content(trial)
        if content in left:
            left.remove(content)
        else:
            missing += 1
    return missing


def _content(trial: Trial) -> tuple[Any, ...]:
    return trial.state, trial.value, trial.seconds, trial.params
