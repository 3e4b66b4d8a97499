"""Means of a few seeds on a device beside those of a CPU: what is near enough, what is not, and what is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from support.same_board import differences


def runs(model: str, *values: float | None) -> list[Any]:
    return [
        SimpleNamespace(
            identity=SimpleNamespace(model=model),
            metrics=None if value is None else SimpleNamespace(test={"all": {"auc": value, "request_gauc": None}}),
        )
        for value in values
    ]


@pytest.mark.parametrize(
    ("here", "there", "wrong"),
    [
        ((0.70, 0.71, 0.72), (0.71, 0.70, 0.715), False),
        ((0.70, 0.71, 0.72), (0.78, 0.79, 0.77), True),
        ((0.70001, 0.70002), (0.7000, 0.7000), False),
        ((0.70, None, None), (0.70, 0.71, 0.72), True),
        ((0.70, 0.71, 0.72), (0.70,), True),
        ((0.70, 0.71), (), True),
    ],
)
def test_means_are_held_against_the_noise_of_seeds(here: Any, there: Any, wrong: bool) -> None:
    (line,) = differences(runs("din", *here), runs("din", *there))
    assert line.startswith("WRONG ") == wrong, line
