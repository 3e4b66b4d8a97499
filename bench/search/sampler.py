"""What a trial tries: the search space as Optuna knows it, and a sampler whose proposals an interruption does not change."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from ..contract import Choice, Range, Real, SearchSpace
from .budget import Ledger

RANDOM_TRIALS = 10
"""Finished trials before which proposals are random: TPE needs something to learn from."""


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The search space for Optuna."""
    return {name: _distribution(searched) for name, searched in space.items()}


def _distribution(searched: Range) -> BaseDistribution:
    if isinstance(searched, Choice):
        return CategoricalDistribution([_plain(value) for value in searched.values])
    if isinstance(searched, Real):
        return FloatDistribution(searched.low, searched.high, log=searched.log)
    return IntDistribution(searched.low, searched.high)


def _plain(value: Any) -> Any:
    """A choice as storages can keep it: they know no lists."""
    return json.dumps(value) if isinstance(value, tuple) else value


def encoded(space: SearchSpace, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as parameters of a trial."""
    return {name: _plain(settings[name]) for name in space}


def decoded(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a trial as settings, in the order of the space."""
    settings = {}
    for name, searched in space.items():
        value = params[name]
        settings[name] = next(one for one in searched.values if _plain(one) == value) if isinstance(searched, Choice) else value
    return settings


class Proposals(BaseSampler):
    """The defaults first, then Optuna's TPE (multivariate; running trials count as bad ones, so that workers spread).

    Every proposal has a random state of its own, from the seed, the model's name and the trial's place in the budget. A worker
    alone that was killed and started again so proposes what it would have proposed, from the same finished trials; and the luck
    of one draw is one model's, not that of all that search the same settings.
    """

    def __init__(self, seed: int, model: str, space: SearchSpace, defaults: Mapping[str, Any]) -> None:
        """`defaults` are settings."""
        self._entropy = (seed, zlib.crc32(model.encode()))
        self._distributions = distributions(space)
        self._defaults = encoded(space, defaults)
        self._of: tuple[int, TPESampler] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {name: one for name, one in self._distributions.items() if not one.single()}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        if _place(study, trial) == 0:
            return {name: self._defaults[name] for name in search_space}
        return self._sampler(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        return self._sampler(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def _sampler(self, study: Study, trial: FrozenTrial) -> TPESampler:
        if self._of is None or self._of[0] != trial.number:
            seed = int(np.random.SeedSequence([*self._entropy, _place(study, trial)]).generate_state(1)[0])
            tpe = TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS, multivariate=True, constant_liar=True)
            self._of = trial.number, tpe
        return self._of[1]


def _place(study: Study, trial: FrozenTrial) -> int:
    return Ledger(study.get_trials(deepcopy=False)).place(trial)
