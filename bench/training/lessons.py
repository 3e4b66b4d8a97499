"""What a step learns from: batches of an epoch in their order, put together ahead by another thread for an accelerator."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..contract import PointwiseBatch, SequenceBatch, to_device
from ..data.ahead import ahead as made_ahead
from ..data.batches import Batches
from ..data.dataset import RankingData
from ..data.resident import filled_up
from .losses import Lists, lists_of
from .team import ALONE, Team

if TYPE_CHECKING:
    from .trainer import TrainState

Lesson = tuple[PointwiseBatch | SequenceBatch, Lists | None]
"""A batch, and which of its rows are of one request where the loss compares these."""


def assembled(
    batches: Batches,
    plans: list[np.ndarray],
    state: TrainState,
    seed: int,
    device: torch.device,
    ahead: int,
    team: Team = ALONE,
    data: RankingData | None = None,
    fill_up: bool = False,
) -> Generator[Lesson, None, None]:
    """The rest of the process's batches of an epoch in their order, up to `ahead` of them assembled by another thread, and
    copied to the device, beforehand.

    Args:
        data: whose requests come along; None: they are not asked for.
        fill_up: batches have one of a few shapes.
    """
    epoch, places = state.epoch, range(state.step * team.size + team.rank, len(plans), team.size)

    def assemble(place: int) -> Lesson:
        # Hidden ids depend on the position alone, so that a resumed run hides the same ones.
        batch = batches.assemble(plans[place], np.random.default_rng([seed, epoch, place]))
        lists = None
        if data is not None:
            example = batches.examples.take(batches.rows(plans[place])).ids()
            lists = to_device(lists_of(example, data), device)
        if fill_up:
            batch = filled_up(batches, plans[place], batch)
        return to_device(batch, device), lists

    return made_ahead(assemble, places, ahead)
