"""Which rows stand: those that nothing replaces, that have not expired, and that stand on runs of their own."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.public.board import KEPT_DAYS, expiry, problems
from rankbench.bench.public.row import CodeVersion, PublicRow, Verification, day

from .conftest import Place

TODAY = datetime.datetime.now(datetime.UTC).date()
PLACE = ("toy", "global-time")


def after(row: PublicRow, **changes: Any) -> PublicRow:
    """A row in the place of another."""
    return dataclasses.replace(row, **{"replaces": row.id, "reason": "a word was wrong", **changes})


def verified(row: PublicRow) -> PublicRow:
    said = Verification("B. Reviewer", CodeVersion(None, None, "e" * 64), None)
    return after(row, tier="recomputed", verification=said)


def said(place: Place) -> list[str]:
    return [line for _, line in problems(place.unchecked())]


def test_a_correction_stands_in_the_place_of_the_old_row_which_stays(place: Place) -> None:
    old = place.row("hstu")
    new = after(old, by=old.by)
    place.write(new)
    board = place.board
    assert (board.state(old, TODAY), board.state(new, TODAY)) == ("replaced", "stands")
    assert [row.entrant.model for row in board.standing("closed", PLACE, TODAY)] == ["dnn", "hstu"]
    assert list(board.before(new)) == [old]


def test_a_self_reported_row_expires_and_a_verified_one_does_not(place: Place) -> None:
    row = place.row("hstu")
    last = day(row.submitted) + datetime.timedelta(days=KEPT_DAYS - 1)
    assert expiry(row) == last + datetime.timedelta(days=1)
    assert [place.board.state(row, last + datetime.timedelta(days=more)) for more in (0, 1)] == ["stands", "expired"]
    new = verified(row)
    place.write(new)
    assert expiry(new) is None and place.board.state(new, last + datetime.timedelta(days=9999)) == "stands"


def test_a_correction_gains_no_time(place: Place) -> None:
    old = place.row("hstu")
    later = after(old, date=(TODAY + datetime.timedelta(days=300)).isoformat())
    assert expiry(later) == expiry(old)


def test_both_divisions_are_never_one_ranking(place: Place) -> None:
    row = place.row("hstu")
    place.root.joinpath("open").mkdir()
    place.write(after(row, division="open"))
    closed, opened = (place.board.standing(division, PLACE, TODAY) for division in ("closed", "open"))
    assert [row.entrant.model for row in closed] == ["dnn"] and [row.entrant.model for row in opened] == ["hstu"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"replaces": "0" * 16}, "it replaces the row 0000000000000000, which is not here"),
        ({"by": "Somebody Else"}, "which is of another submission"),
        ({"date": "2026-01-02", "submitted": "2026-01-02"}, "which is of a later day"),
    ],
)
def test_a_replacement_that_cannot_be_is_named(place: Place, changes: dict[str, Any], wrong: str) -> None:
    place.write(after(place.row("hstu"), **changes))
    assert any(wrong in line for line in said(place))


def test_a_row_is_replaced_once(place: Place) -> None:
    old = place.row("hstu")
    for reason in ("one", "another"):
        place.write(after(old, reason=reason))
    assert sum("replaces too" in line for line in said(place)) == 2


def test_nobody_else_stands_on_the_same_scores(place: Place) -> None:
    row = place.row("hstu")
    place.write(dataclasses.replace(row, by="Somebody Else"))
    assert sum("stands on the same scores as the row" in line for line in said(place)) == 2


def test_scores_of_another_model_are_found(place: Place) -> None:
    hstu, dnn = place.row("hstu"), place.row("dnn")
    mixed = (dataclasses.replace(dnn.entrant.runs[0], scores=hstu.entrant.runs[0].scores), *dnn.entrant.runs[1:])
    place.write(after(dnn, entrant=dataclasses.replace(dnn.entrant, runs=mixed)))
    assert any(f"it has scores of the row {hstu.id}" in line for line in said(place))


def test_copied_seeds_are_found(place: Place) -> None:
    row = place.row("hstu")
    first, second, third = row.entrant.runs
    copied = (first, dataclasses.replace(second, scores=first.scores), third)
    place.write(after(row, entrant=dataclasses.replace(row.entrant, runs=copied)))
    assert any("two of its seeds have the same scores" in line for line in said(place))


def test_a_broken_board_is_not_read_and_a_row_that_cannot_stand_not_written(place: Place) -> None:
    row = place.row("hstu")
    wrong = dataclasses.replace(row, by="Somebody Else")
    with pytest.raises(UserError, match="the row of hstu on toy@global-time cannot stand: it stands on the same scores"):
        place.board.refuse(wrong)
    place.write(wrong)
    with pytest.raises(UserError, match="cannot stand: it stands on the same scores"):
        _ = place.board
