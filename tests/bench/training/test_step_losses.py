"""Losses that stay on the device for some steps: the same sum, and a loss that is no number is named."""

from __future__ import annotations

import pytest
import torch

from rankbench.bench.training.step_losses import EVERY, StepLosses, Total


def test_what_is_read_late_is_the_same_sum() -> None:
    losses, total, expected = StepLosses(torch.device("cuda")), Total(1.5, 10), 1.5
    for step in range(1, EVERY + 1):
        assert not losses.due
        losses.add(torch.tensor(0.1 * step), 3, step)
        expected += float(torch.tensor(0.1 * step)) * 3
    assert losses.due
    total = losses.read(1, total)
    assert total == (expected, 10 + 3 * EVERY) and not losses.due
    assert losses.read(1, total) == total


def test_on_a_cpu_each_step_is_read() -> None:
    losses = StepLosses(torch.device("cpu"))
    losses.add(torch.tensor(0.5), 1, 1)
    assert losses.due


def test_the_step_whose_loss_is_no_number_is_named() -> None:
    losses = StepLosses(torch.device("cuda"))
    for step, value in enumerate((0.5, float("nan"), 0.5), 1):
        losses.add(torch.tensor(value), 1, step)
    with pytest.raises(FloatingPointError, match=r"loss became nan at epoch 4, step 2; lower train\.lr"):
        losses.read(4, Total(0.0, 0))
