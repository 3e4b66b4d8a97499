"""The studies of losses and of ranking within a request hold the right things against each other."""

from __future__ import annotations

import dataclasses

import pytest

from rankbench.bench.config import Settings
from rankbench.bench.errors import UserError
from rankbench.bench.studies.offers import Offers
from rankbench.bench.studies.points import Point, Scope, cells
from rankbench.bench.studies.questions import losses, within_request
from support.studies import scope


def places(points: list[Point], model: str) -> list[str | float]:
    return [point.at for point in points if point.model == model]


def test_losses_are_held_against_bce_with_the_same_batches() -> None:
    points = losses.STUDY.grid(scope(("din", "hstu")))
    rivals = ["pairwise", "listwise", "joint", "jrc"]
    assert places(points, "din") == [losses.BY_EXAMPLES, "bce", *rivals]
    assert places(points, "hstu") == ["bce", *rivals], "segments hold whole requests under any loss"
    assert {other.at for _, other in losses.STUDY.pairs(points)} == {"bce"}
    for point in points:
        train = cells(point, (), Settings(), 1)[0].experiment.train.resolved("auc")
        assert train.loss == str(point.at).partition(",")[0]
        assert point.model == "hstu" or train.whole_requests == (point.at != losses.BY_EXAMPLES)


def test_a_segment_for_each_example_has_both_kinds_of_batches() -> None:
    asked = Settings(data={"supervision": "impression"})
    impressions = dataclasses.replace(scope(("hstu",)), settings=asked)
    assert places(losses.STUDY.grid(impressions), "hstu")[:2] == [losses.BY_EXAMPLES, "bce"]
    hashes = {cells(point, (), asked, 1)[0].experiment.hash for point in losses.STUDY.grid(impressions)}
    assert len(hashes) == 2 + len(losses.LOSSES)


def test_a_model_that_counts_has_no_loss() -> None:
    with pytest.raises(UserError, match="study losses is about what gradients descend, and popularity learns by counting"):
        losses.STUDY.grid(scope(("din", "popularity")))


def test_variants_that_change_nothing_are_left_out() -> None:
    bare = Scope(("hstu", "genrank"), offers=Offers())
    points = within_request.STUDY.grid(bare)
    assert places(points, "din") == [within_request.PLAIN], "items without features have no fields"
    assert places(points, "hstu") == list(within_request.VARIANTS)
    assert "candidate layout" not in places(points, "genrank"), "that is what it is"
    featured = within_request.STUDY.grid(scope(("hstu",)))
    assert places(featured, "hstu") == [*within_request.VARIANTS, *within_request.ITEM_FIELDS]
    assert places(featured, "din") == [within_request.PLAIN, *within_request.ITEM_FIELDS]


def test_variants_are_held_against_the_model_as_it_is_and_against_din() -> None:
    points = within_request.STUDY.grid(scope(("hstu",)))
    pairs = [(one.label, other.label) for one, other in within_request.STUDY.pairs(points)]
    assert ("hstu @ target attention", "hstu @ default") in pairs and ("hstu @ target attention", "din @ default") in pairs
    assert ("hstu @ default", "din @ default") in pairs and ("din @ item fields summed", "din @ default") in pairs
    assert len(pairs) == len(set(pairs)) == 2 * len(places(points, "hstu")) - 1 + len(places(points, "din")) - 1


def test_a_classical_ranker_is_not_asked_about() -> None:
    with pytest.raises(UserError, match="study within-request is about generative rankers, and dcnv2 is none"):
        within_request.STUDY.grid(scope(("dcnv2",)))
