"""A model from its card to the weights that are scored: trained until validation has chosen, and then perhaps once more.

A refit (train.refit) begins afresh, with the seed and the start of the first training, and learns from training and validation
examples for as many epochs as validation chose; an epoch has more steps, in proportion to the examples. What is known beforehand
stays as it was: users and items that occur in validation alone are unknown, statistics are those of training, and every example
sees what it saw. Test labels are read by neither training, except as the visible past of later test examples.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from ..config import Experiment
from ..contract import ModelInfo, Ranker
from ..data.dataset import RankingData
from ..evaluation import evaluator, metrics
from .checkpoint import Checkpoint
from .team import ALONE, Team
from .trainer import Progress, TrainState, train

_SUMS = ("steps", "trained", "seconds", "cpu_seconds", "cpu_joules", "accelerator_joules")
"""Of the state of training, what two of them cost together."""


@dataclass(frozen=True)
class Fitted:
    """A trained model."""

    model: Ranker
    state: TrainState
    """Costs are those of all training; epochs and curve those by which validation chose."""
    data: RankingData
    """What it was trained on; of a refit, with validation."""
    valid: metrics.Slices
    """Metrics of validation by slice, of the weights that it chose; a refit comes after that."""


def fit(
    info: ModelInfo,
    experiment: Experiment,
    seed: int,
    data: RankingData,
    device: torch.device,
    checkpoint: Checkpoint,
    progress: Progress,
    team: Team = ALONE,
) -> Fitted:
    """Train an experiment with a seed; killed and called again, it goes on from the checkpoints of either training."""
    config = experiment.train

    def trained(data: RankingData, file: Checkpoint, length: float | None = None) -> tuple[Ranker, TrainState]:
        torch.manual_seed(seed)
        np.random.seed(seed)
        model = team.together(lambda: info.build(experiment.params, data.spec).to(device))
        return model, train(model, info, data, config, seed, device, file, progress, team, length)

    model, state = trained(data, checkpoint)
    if config.order == "time":
        # Those of a team that do not lead have no metrics, and are not asked for them.
        return Fitted(model, state, data.at(data.windows - 2), state.valid or {})
    valid = team.from_leader(
        lambda: metrics.evaluate(evaluator.predictions(evaluator.Forward.of(model, config, device), info, data, "valid"))
    )
    if config.refit:
        data = data.with_validation()
        model, again = trained(data, checkpoint.of_refit, state.best_length)
        sums = {name: getattr(state, name) + getattr(again, name) for name in _SUMS}
        state = dataclasses.replace(state, **sums)
    return Fitted(model, state, data, valid)


def forget(checkpoint: Checkpoint) -> None:
    """Remove what `fit` would go on from."""
    for file in (checkpoint, checkpoint.of_refit):
        file.remove()
