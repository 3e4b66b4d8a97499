"""Runs make the same entrant whoever computes it, with the paired interval that a board has."""

from __future__ import annotations

import dataclasses
import json

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.predictions import align
from rankbench.bench.evaluation.stats import compare
from rankbench.bench.public.entrant import cells, make, reference, same
from rankbench.bench.public.submission import view_of
from rankbench.bench.public.versions import Track
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.view import View
from support.public import runs
from support.records import predictions

from .conftest import Place

pytestmark = pytest.mark.long


def track(place: Place) -> Track:
    found = place.board.versions.track(1, ("toy", "global-time"))
    assert found is not None
    return found


def cell(place: Place, model: str) -> tuple[View, list[RunRecord]]:
    view = view_of(place.theirs, place.board)
    return view, next(group for group in cells(view) if group[0].identity.model == model)


def test_the_claim_is_the_paired_difference_to_the_reference_as_a_single_comparison(made: Place) -> None:
    entrant = made.row("hstu").entrant
    frames = {"hstu": [predictions(1.2, seed) for seed in range(3)], "din": [predictions(1.0, seed) for seed in range(3)]}
    for metric in ("request_gauc", "auc"):
        found = compare(align(frames), metric)
        claim, quality = entrant.claims[metric], entrant.quality[metric]
        apart = found.difference("hstu", "din")
        assert dataclasses.astuple(claim.difference) == pytest.approx(dataclasses.astuple(apart), abs=1e-9)
        assert dataclasses.astuple(quality.value) == pytest.approx(dataclasses.astuple(found.value("hstu")), abs=1e-9)
        assert claim.verdict == "better" and apart.low > 0
    assert made.row("dnn").entrant.claims["auc"].verdict == "worse"
    assert entrant.headline == "request_gauc"


def test_made_again_it_is_the_same_and_a_difference_is_named(made: Place) -> None:
    own = made.row("hstu").entrant
    again = make(*cell(made, "hstu"), reference(track(made), made.results))
    assert same(own, again) is None
    assert same(own, dataclasses.replace(again, parameters=1)) == "parameters"


def test_the_reference_claims_nothing(made: Place) -> None:
    against = reference(track(made), made.results)
    entrant = make(against, against.records, against)
    assert entrant.claims == {} and entrant.quality["auc"].value.value > 0.5


def test_a_reference_that_is_not_there_is_named(made: Place) -> None:
    other = dataclasses.replace(track(made), content_hash="d" * 64)
    with pytest.raises(UserError, match=r"the reference din/\w{12} of toy@global-time is not in"):
        reference(other, made.results)


def test_a_record_that_says_more_than_its_scores_is_refused(place: Place) -> None:
    (path,) = place.theirs.glob("runs/*/hstu/*/seed-1.json")
    raw = json.loads(path.read_text())
    raw["metrics"]["test"]["all"]["auc"] += 0.01
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"hstu/.*/seed-1: auc is .* in the record and .* from its scores"):
        make(*cell(place, "hstu"), reference(track(place), place.results))


def test_other_seeds_and_settings_are_other_cells(place: Place) -> None:
    runs(place.theirs, "hstu", 0.9, config={"train": {"lr": 0.5}}, family="generative")
    found = [(group[0].identity.model, len(group)) for group in cells(view_of(place.theirs, place.board))]
    assert sorted(found) == [("dnn", 3), ("hstu", 3), ("hstu", 3)]
