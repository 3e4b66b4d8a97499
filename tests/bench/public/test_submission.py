"""Who submits gets a row for each model that can have one, and a reason for every other."""

from __future__ import annotations

import shutil

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.public.submission import Submission, view_of
from rankbench.bench.records.store import Store
from support.public import runs, submitted
from support.records import pack

from .conftest import Place

pytestmark = pytest.mark.long


def test_a_second_submission_of_the_same_runs_makes_no_row(place: Place) -> None:
    rows, told = submitted(place.theirs, place.root)
    assert rows == [] and len(told) == 2
    assert all("stands on these runs already" in line for line in told)


def test_packed_runs_are_those_that_the_rows_stand_on(place: Place) -> None:
    before = [row.entrant for row in place.board.rows.values()]
    for folder in (place.results, place.theirs):
        pack(Store(folder))
    rows, told = submitted(place.theirs, place.root)
    assert rows == [] and all("stands on these runs already" in line for line in told)
    shutil.rmtree(place.root / "closed")
    rows, told = submitted(place.theirs, place.root)
    assert [row.entrant for row in rows] == before and told == []


def test_what_the_closed_division_refuses_the_open_one_takes(place: Place) -> None:
    runs(place.theirs, "gru", 1.1, changed={"train.lr": 0.5})
    rows, told = submitted(place.theirs, place.root, Submission("A. Person", models=("gru",)))
    assert rows == [] and "its settings train.lr were set by hand" in told[0]
    rows, told = submitted(place.theirs, place.root, Submission("A. Person", "open", ("gru",)))
    assert [(row.division, row.tier, row.entrant.model) for row in rows] == [("open", "self-reported", "gru")] and told == []


def test_a_correction_replaces_one_row_with_its_reason(place: Place) -> None:
    old = place.row("dnn")
    asked = Submission("A. Person", models=("dnn",), replaces=old.id, reason="a name was wrong")
    (new,), _ = submitted(place.theirs, place.root, asked)
    assert (new.replaces, new.reason, new.submitted) == (old.id, "a name was wrong", old.submitted)
    both = Submission("A. Person", replaces=old.id, reason="both")
    with pytest.raises(UserError, match="--replaces names one row, but 2 cells can be rows"):
        submitted(place.theirs, place.root, both)


def test_a_row_that_cannot_stand_leaves_nothing_half_written(place: Place) -> None:
    old = place.row("dnn")
    before = sorted(place.root.rglob("*.json"))
    with pytest.raises(UserError, match="of another submission"):
        submitted(place.theirs, place.root, Submission("Somebody Else", models=("dnn",), replaces=old.id, reason="mine"))
    assert sorted(place.root.rglob("*.json")) == before


def test_models_that_are_not_there_and_folders_without_runs_are_named(place: Place) -> None:
    with pytest.raises(UserError, match="no finished run of bst with scores"):
        submitted(place.theirs, place.root, Submission("A. Person", models=("bst", "dnn")))
    with pytest.raises(UserError, match="no run in nothing"):
        view_of(place.theirs.relative_to(place.theirs) / "nothing", place.board)


def test_runs_of_other_data_sets_are_on_no_track(place: Place) -> None:
    with pytest.raises(UserError, match=r"is of a track of the board \(toy@global-time\)"):
        (place.results.parent / "empty" / "runs").mkdir(parents=True)
        view_of(place.results.parent / "empty", place.board)
