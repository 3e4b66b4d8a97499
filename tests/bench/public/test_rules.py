"""What keeps a row from standing shows in the row alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from rankbench.bench.config import Tuning
from rankbench.bench.evaluation.stats import Estimate
from rankbench.bench.identity import config_hash
from rankbench.bench.public.board import PublicBoard
from rankbench.bench.public.row import CodeVersion, PublicRow, Retraining, Verification
from rankbench.bench.public.rules import strayed, why_not

from .conftest import Place


@pytest.fixture(scope="module")
def board(made: Place) -> PublicBoard:
    return made.board


def hstu_of(board: PublicBoard) -> PublicRow:
    return next(row for row in board.rows.values() if row.entrant.model == "hstu")


CODE = CodeVersion("0.1.0", None, "e" * 64)


def entrant(row: PublicRow, **changes: Any) -> PublicRow:
    return dataclasses.replace(row, entrant=dataclasses.replace(row.entrant, **changes))


def settings(section: str, **changes: Any) -> Callable[[PublicRow], PublicRow]:
    """Other settings, with the hash that they have."""

    def change(row: PublicRow) -> PublicRow:
        config = {**row.entrant.config, section: {**row.entrant.config[section], **changes}}
        return entrant(row, config=config, config_hash=config_hash(config))

    return change


def tuned(trials: int) -> Callable[[PublicRow], PublicRow]:
    tuning = Tuning("sweep", trials, 60.0, "auc", 0.7, False)
    return lambda row: entrant(row, tuning=tuning, changed={"train.lr": 0.01})


def retrained(value: float, same: bool = False) -> Callable[[PublicRow], PublicRow]:
    found = Retraining(1, same, {"auc": value}, {"auc": Estimate(0.7, 0.69, 0.71)}, "cpu")
    return lambda row: dataclasses.replace(row, tier="retrained", verification=Verification("B. Reviewer", CODE, found))


def claim(row: PublicRow) -> PublicRow:
    said = dict(row.entrant.claims)
    said["auc"] = dataclasses.replace(said["auc"], verdict="equivalent")
    return entrant(row, claims=said)


def mean(row: PublicRow) -> PublicRow:
    quality = dict(row.entrant.quality)
    quality["auc"] = dataclasses.replace(quality["auc"], value=Estimate(0.99, 0.98, 1.0))
    return entrant(row, quality=quality)


CLOSED: dict[str, tuple[Callable[[PublicRow], PublicRow], str]] = {
    "other data": (lambda row: entrant(row, content_hash="d" * 64), "other labels, fields or rows belong to the open division"),
    "other settings of data": (settings("data", history_length=500), "it has data.history_length 500"),
    "further labels": (settings("data", labels=["five-stars"]), "it has data.labels"),
    "validation as training": (settings("train", refit=True), "it learns from validation examples"),
    "more epochs": (settings("train", epochs=21), "it may train 21 epochs; the closed division has 20 at most"),
    "settings by hand": (lambda row: entrant(row, changed={"train.lr": 0.01}), "its settings train.lr were set by hand"),
    "a larger search": (tuned(6), "its search had 6 trials; the closed division has 5 at most"),
    "a seed less": (lambda row: entrant(row, runs=row.entrant.runs[:2]), "it has the seeds 0, 1; the closed division has 0 to 2"),
}
"""What the open division allows but for the last."""

ALWAYS: dict[str, tuple[Callable[[PublicRow], PublicRow], str]] = {
    "another split": (lambda row: entrant(row, split_hash="d" * 64), "its split has the hash dddddddddddd"),
    "another version": (lambda row: dataclasses.replace(row, version=7), "version 7 of the board, which there is not"),
    "a version as it never was": (lambda row: dataclasses.replace(row, version_hash="0"), "version 1 of the board was changed"),
    "no track": (lambda row: entrant(row, dataset="other"), "has no track other@global-time"),
    "before its time": (lambda row: dataclasses.replace(row, date="2025-12-31"), "before its version or its own submission"),
    "another hash": (lambda row: entrant(row, config_hash="0123456789ab"), "not 0123456789ab"),
    "another word": (claim, "it claims to be 'equivalent' by auc"),
    "another mean": (mean, "auc is 0.99, the mean of its 3 seeds"),
    "one claim": (lambda row: entrant(row, claims={"auc": row.entrant.claims["auc"]}), "a claim by some of its metrics alone"),
    "verified by nobody": (lambda row: dataclasses.replace(row, tier="recomputed"), "says nothing of a verification"),
    "a seed that strayed": (retrained(0.6), "lies outside of what the others allow by auc"),
}


@pytest.mark.parametrize("name", [*CLOSED, *ALWAYS])
def test_what_cannot_stand_in_the_closed_division_is_named(board: PublicBoard, name: str) -> None:
    change, said = (CLOSED | ALWAYS)[name]
    assert list(why_not(hstu_of(board), board.versions)) == []
    assert any(said in line for line in why_not(change(hstu_of(board)), board.versions))


@pytest.mark.parametrize("name", [*CLOSED, *ALWAYS])
def test_the_open_division_leaves_fields_and_effort_free_and_nothing_else(board: PublicBoard, name: str) -> None:
    change, _ = (CLOSED | ALWAYS)[name]
    found = list(why_not(dataclasses.replace(change(hstu_of(board)), division="open"), board.versions))
    assert bool(found) == (name in ALWAYS or name == "a seed less"), found


@pytest.mark.parametrize("own", [{"negatives": "uniform"}, {"supervision": "impression"}, {"unknown_rate": 0.0}])
def test_how_a_model_learns_is_its_own(board: PublicBoard, own: dict[str, Any]) -> None:
    assert list(why_not(settings("data", **own)(hstu_of(board)), board.versions)) == []


def test_a_search_within_the_allowance_is_closed(board: PublicBoard) -> None:
    assert list(why_not(tuned(5)(hstu_of(board)), board.versions)) == []


@pytest.mark.parametrize(("value", "same", "outside"), [(0.7, False, []), (0.6, False, ["auc"]), (0.6, True, [])])
def test_a_seed_that_was_trained_again_is_asked_unless_its_scores_are_the_same(
    board: PublicBoard, value: float, same: bool, outside: list[str]
) -> None:
    verified = retrained(value, same)(hstu_of(board)).verification
    assert verified is not None and verified.retraining is not None and strayed(verified.retraining) == outside


def test_a_value_that_is_not_there_strays() -> None:
    assert strayed(Retraining(0, False, {}, {"auc": Estimate(0.7, 0.69, 0.71)}, "cpu")) == ["auc"]
