"""The study of long histories finds how far back what was planted lies, and no gain from more where nothing lies there."""

from __future__ import annotations

import pytest

from rankbench.bench.studies.questions.long_history import STUDY
from support.recovered import against, answered, points_of, small, value, verdicts

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_folders")]

LOG = {"users": 1200, "pages": 1, "items": 20, "categories": 5, "intercept": -1.5, "popularity": 0.3, "search": 4.0}
"""One page a user, so that nothing but the search before it can be known."""
DIN = (
    *("din.attention_hidden=[16]", "din.embedding_dim=8", "din.hidden=[32]", "din.dropout=0"),
    *("train.batch_size=128", "train.lr=0.01", "train.epochs=6", "train.patience=6"),
)


def lengths(**log: float) -> tuple[dict[str, str], dict[int, float]]:
    """Length -> the verdict against a history of 50 events, and length -> the headline metric; of DIN."""
    found = answered("long-history", {**LOG, **log}, (), "din", DIN, history=None, seeds=2)
    return verdicts(found, "din"), {length: value(found, f"din @ {length}") for length in (10, 50, 200, 1000)}


def test_a_longer_history_is_found_to_help_where_the_effect_lies_further_back_than_the_usual_one() -> None:
    word, level = lengths(distance=55)
    assert word["200"] == word["1000"] == "better" and word["10"] != "worse"
    assert min(level[200], level[1000]) > max(level[10], level[50]) + 0.1


def test_a_short_history_is_found_to_be_too_short_and_a_longer_one_to_bring_nothing_where_the_effect_is_nearer() -> None:
    word, level = lengths(distance=15)
    assert word["10"] == "worse" and "better" not in word.values()
    assert level[50] > level[10] + 0.1


def test_no_length_is_found_to_matter_where_the_past_tells_nothing() -> None:
    word, _ = lengths(distance=55, search=0.0)
    assert not {"better", "worse"} & set(word.values())


@pytest.mark.parametrize("planted", [True, False])
def test_a_generative_ranker_needs_the_longer_history_as_well(planted: bool) -> None:
    """With one layer, because each looks one history length further back."""
    log = {**LOG, "users": 1500, "distance": 55, "searches": 10, "search": 4.0 if planted else 0.0}
    # With fewer users, smaller batches or faster steps, whether a seed finds it is a matter of rounding.
    settings = (*small("llama", epochs=16), "train.lr=0.004", "train.batch_events=2048")
    found = points_of(STUDY, [50, 200], "simulator-long-history", log, ("llama",), settings)
    longer = against(found, "llama @ 200", "llama @ 50")
    assert (longer.verdict == "better") == planted
    assert planted or abs(longer.difference.value) < 0.04, "a wide interval alone must not make nothing of it"
