"""The grid of the study of behaviours: no two points that say the same."""

from __future__ import annotations

import pytest

from rankbench.bench.studies.offers import OfferedLabel, Offers
from rankbench.bench.studies.points import Scope
from rankbench.bench.studies.questions.behaviours import ALL, BY_LABEL, STUDY, TARGET, UNTOLD


@pytest.mark.parametrize("positive_only", [False, True])
@pytest.mark.parametrize("tells", [False, True])
def test_the_label_alone_tells_nothing_apart_where_it_is_always_1(positive_only: bool, tells: bool) -> None:
    """Then the target alone is the whole history too, and so is it with any other behaviour."""
    offers = Offers(labels=(OfferedLabel("liked", 0.1, 0.1),), label_tells_apart=tells)
    points = {point.at for point in STUDY.grid(Scope(("din",), positive_only=positive_only, offers=offers))}
    assert UNTOLD in points and ALL in points
    assert ({BY_LABEL, TARGET, "the target and liked"} <= points) == tells == (BY_LABEL in points)
