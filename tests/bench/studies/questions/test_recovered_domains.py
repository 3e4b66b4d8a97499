"""The study of domains finds what a large domain brings to a small one, and that games go against both: by rankers of several
domains and by generative ones."""

from __future__ import annotations

import pytest

from rankbench.bench.studies.questions.domains import HIDDEN, RANKERS, STUDY, TOGETHER
from support.recovered import against, in_domain, points_of, small

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_folders")]

ALONE = "trained on shop"
POINTWISE = ("train.lr=0.01", "train.batch_size=256", "train.epochs=4")
PLANTED = {"users": 250, "items": 600, "shop": 0.1, "taste": 2.5}
NULL = {"users": 150, "items": 30, "shop": 0.5, "taste": 2.5, "opposition": 1.0}
"""One taste everywhere, and a shop with so many pages for so few items that it has no need of the feed."""


@pytest.mark.parametrize("planted", [True, False])
def test_rankers_of_several_domains_serve_a_small_shop_and_are_not_misled_by_the_games(planted: bool) -> None:
    places = [f"din @ {TOGETHER}", f"din @ {HIDDEN}", f"din @ {ALONE}", *(f"{model} @ {TOGETHER}" for model in RANKERS)]
    settings = ("data.history_length=1", *POINTWISE)
    finding = points_of(STUDY, places, "simulator-domains", PLANTED if planted else NULL, ("din",), settings)
    rankers = [f"{model} @ {TOGETHER}" for model in RANKERS]
    shop = in_domain(finding, "shop", [(label, f"din @ {ALONE}") for label in rankers])
    hidden = {label: against(finding, label, f"din @ {HIDDEN}") for label in rankers}
    for label in rankers:
        assert (shop[label] == "better") == planted, "feed and shop have one taste"
        assert (hidden[label].verdict == "better") == planted, "the games have another"


@pytest.mark.parametrize("planted", [True, False])
def test_a_generative_ranker_serves_a_small_shop_and_must_know_the_domain(planted: bool) -> None:
    settings = ("data.history_length=1", *small("llama"))
    places = [f"llama @ {at}" for at in (TOGETHER, HIDDEN, ALONE)]
    finding = points_of(STUDY, places, "simulator-domains", PLANTED if planted else NULL, ("llama",), settings)
    together, hidden, alone = places
    shop = in_domain(finding, "shop", [(together, alone)])
    assert (shop[together] == "better") == planted
    assert (against(finding, hidden, together).verdict == "worse") == planted
