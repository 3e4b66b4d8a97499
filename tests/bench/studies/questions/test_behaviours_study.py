"""The grid of the study of behaviours: no two points that say the same."""

from __future__ import annotations

import pytest

from rankbench.bench.studies.offers import OfferedLabel, Offers
from rankbench.bench.studies.points import Scope
from rankbench.bench.studies.questions.behaviours import BY_LABEL, STUDY, UNTOLD


@pytest.mark.parametrize(("positive_only", "labels", "asked"), [(False, 0, True), (True, 1, True), (True, 0, False)])
def test_the_label_alone_tells_nothing_apart_where_it_is_always_1(positive_only: bool, labels: int, asked: bool) -> None:
    offers = Offers(labels=(OfferedLabel("liked", 0.1, 0.1),) * labels)
    points = {point.at for point in STUDY.grid(Scope(("din",), positive_only=positive_only, offers=offers))}
    assert UNTOLD in points and (BY_LABEL in points) == asked
