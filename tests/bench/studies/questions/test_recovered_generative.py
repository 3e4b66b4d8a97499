"""Generative rankers in studies of simulated scenarios: they find what was planted, and nothing where nothing was."""

from __future__ import annotations

import pytest

from rankbench.bench.studies.questions import behaviours, shift, side_information
from rankbench.bench.studies.questions.behaviours import ALL, TARGET
from support.recovered import against, points_of, small

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_folders")]

NOTHING = 0.04
"""Half of the smallest effect that is planted: a wide interval alone must not make nothing of it."""
BOTH = pytest.mark.parametrize("planted", [True, False])
STEADY = {"intercept": 0, "popularity": 1.5, "long_term_taste": 0, "recent_interest": 0, "time_of_day": 0, "target_match": 0}
"""Of the simulator: nothing but the popularity of items says anything."""


@BOTH
def test_behaviours(planted: bool) -> None:
    """A search predicts clicks, a scroll does not."""
    log = {"users": 300, "pages": 6, "items": 20, "categories": 5, "intercept": -1.5, "popularity": 0.3}
    log["search"] = 4.0 if planted else 0.0
    places = [ALL, TARGET, "the target and search", "the target and scroll"]
    settings = ("data.history_length=4", *small("hstu", 8))
    found = points_of(behaviours.STUDY, places, "simulator-behaviours", log, ("hstu",), settings)
    search, scroll = (
        against(found, f"hstu, history @ the target and {one}", f"hstu, history @ {TARGET}") for one in ("search", "scroll")
    )
    assert (search.verdict == "better") == planted
    assert planted or abs(search.difference.value) < NOTHING
    assert scroll.verdict != "better"


@BOTH
def test_side_information(planted: bool) -> None:
    """Features of items tell, where there are too many items to know each by itself; those of users do not."""
    log = {"users": 200, "items": 4000, "brands": 10, "brand": 1.5 if planted else 0.0, "segment": 0.0}
    places = ["none", "items, side by side", "users, side by side"]
    settings = ("data.history_length=1", *small("sasrec"))
    found = points_of(
        side_information.STUDY, [f"sasrec @ {at}" for at in places], "simulator-side-information", log, ("sasrec",), settings
    )
    items, users = (against(found, f"sasrec @ {one}", "sasrec @ none") for one in places[1:])
    assert (items.verdict == "better") == planted
    assert planted or abs(items.difference.value) < NOTHING
    assert users.verdict != "better"


@BOTH
def test_shift(planted: bool) -> None:
    """Fresh events help in a world that turns."""
    log = {"events": 12_000, "users": 150, "items": 40, "categories": 10, **STEADY, "drift": 2.0 if planted else 0.0}
    settings = ("data.history_length=5", *small("llama"))
    found = points_of(shift.STUDY, [shift.ONCE, shift.AS_MANY], "simulator", log, ("llama",), settings)
    (fresh,) = found.pairs["auc"]
    assert (fresh.verdict == "better") == planted
    assert planted or abs(fresh.difference.value) < NOTHING
