"""A family's envelope is made of verified rows of the closed division, and flags what lies beyond it."""

from __future__ import annotations

import dataclasses
import datetime
import math

import pytest

from rankbench.bench.evaluation.new_seed import new_best
from rankbench.bench.public.board import PublicBoard
from rankbench.bench.public.envelope import LEVEL, beyond, envelopes
from rankbench.bench.public.row import CodeVersion, PublicRow, Quality, Verification

from .conftest import Place

TODAY = datetime.datetime.now(datetime.UTC).date()
PLACE = ("toy", "global-time")


def row(base: PublicRow, at: int, best: float, tier: str = "recomputed") -> PublicRow:
    """A row of its own whose best seed has this AUC."""
    quality: dict = {"auc": Quality(base.entrant.quality["auc"].value, (best - 0.01, best, best - 0.02))}
    entrant = dataclasses.replace(base.entrant, model=f"model-{at}", quality=quality)
    said = Verification("B. Reviewer", CodeVersion(None, None, "e" * 64), None)
    return dataclasses.replace(base, entrant=entrant, tier=tier, verification=None if tier == "self-reported" else said)  # type: ignore[arg-type]


def board(place: Place, *rows: PublicRow) -> PublicBoard:
    return dataclasses.replace(place.board, rows={one.id: one for one in rows})


def test_it_is_the_bound_of_one_more_model_by_best_seeds(made: Place) -> None:
    best = (0.70, 0.71, 0.72)
    rows = [row(made.row("hstu"), at, value) for at, value in enumerate(best)]
    (found,) = envelopes(board(made, *rows), PLACE, TODAY)
    assert (found.family, found.metric, found.rows, found.best) == ("generative", "auc", 3, 0.72)
    assert found.bound == pytest.approx(new_best(best, LEVEL)) and found.known


def test_what_nobody_verified_and_what_is_open_makes_no_envelope(made: Place) -> None:
    base = made.row("hstu")
    rows = [row(base, 0, 0.7, "self-reported"), dataclasses.replace(row(base, 1, 0.7), division="open")]
    assert envelopes(board(made, *rows), PLACE, TODAY) == []


def test_with_two_rows_there_is_no_bound(made: Place) -> None:
    (found,) = envelopes(board(made, *(row(made.row("hstu"), at, 0.7) for at in range(2))), PLACE, TODAY)
    assert found.bound == math.inf and not found.known


def test_a_row_is_held_against_the_others_alone(made: Place) -> None:
    usual = [row(made.row("hstu"), at, 0.70 + at / 1000) for at in range(4)]
    far = row(made.row("hstu"), 9, 0.99)
    found = board(made, *usual, far)
    assert [one.metric for one in beyond(found, far, TODAY)] == ["auc"]
    assert not any(beyond(found, one, TODAY) for one in usual)
