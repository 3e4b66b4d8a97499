"""A past that a request tells gives the numbers of the same past in the log; what the log does not know is unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig
from rankbench.bench.data.asked import AskedOf
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.source_names import SourceNames
from rankbench.bench.data.told import PastEvent, told
from rankbench.bench.errors import UserError
from rankbench.bench.serving import Scorer
from support.logs import make_data, with_config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", users=25, longest=300)


def scorer(name: str, data: RankingData) -> Scorer:
    info = registry.info(name)
    torch.manual_seed(3)
    model = info.build(info.config(), data.spec)
    with torch.no_grad():  # weights that matter: fresh ones are too small for wrong histories to show
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return Scorer(model.eval(), info, data, data.logit_correction, torch.device("cpu"))


@pytest.mark.parametrize("model", ["din", "hstu", "onetrans"])
@pytest.mark.parametrize("settings", [{}, {"time": "history", "request_window": 3_600.0, "feedback_delay": 60.0}])
def test_a_told_past_scores_as_the_same_past_of_the_log(model: str, settings: dict, data: RankingData) -> None:
    serving = scorer(model, with_config(data, **settings))
    items, longest = ["i3", "i0", "nowhere", "i7"], 0
    names = AskedOf(serving.data)
    for event in serving.data.split.examples("test")[::37].tolist():
        asked, past = names.request(event), names.past(event)
        logged = serving.score(asked.user, items, asked.time, asked.context)
        # Times tell the order, unless they are tied.
        said = serving.score(asked.user, items, asked.time, asked.context, past[::-1] if settings else past)
        assert (said.request.user, said.request.time) == (logged.request.user, logged.request.time)
        assert said.request.hi - said.request.lo == logged.request.hi - logged.request.lo
        if not settings or len({one.time for one in past}) == len(past):
            np.testing.assert_allclose(said.probability, logged.probability, atol=1e-6)
        longest = max(longest, len(past))
    assert longest > serving.data.config.history_length


def test_what_is_told_counts_and_who_is_told_of_may_be_new(data: RankingData) -> None:
    serving = scorer("hstu", data)
    now = 1_700_000_000_000
    liked = [PastEvent("i1", now - 60_000, True, "5", {"page": "home"}), PastEvent("no such item", now - 30_000, False)]
    new = serving.score("nobody", ["i1", "i2"], now, history=liked)
    assert new.request.user == -1 and new.request.hi == 2
    other = serving.score("nobody", ["i1", "i2"], now, history=[liked[0]])
    assert not np.allclose(new.probability, other.probability)
    assert len(serving.memories) == 2
    again = serving.score("nobody", ["i1", "i2"], now, history=liked)
    assert len(serving.memories) == 2 and np.array_equal(again.probability, new.probability)
    known = serving.score("u1", ["i1", "i2"], now, history=liked)
    assert len(serving.memories) == 3 and not np.array_equal(known.probability, new.probability)  # side information


def test_a_past_without_events_needs_a_time(data: RankingData) -> None:
    serving = scorer("din", data)
    assert serving.score("nobody", ["i1"], 1, history=[]).request.hi == 0
    with pytest.raises(UserError, match="told to have no history: say when"):
        serving.score("u1", ["i1"], history=[])


def test_histories_that_are_no_plain_past_are_refused(tmp_path: Path) -> None:
    chosen = make_data(tmp_path / "tiny", DataConfig("tiny", history_length=6, behaviours=("label",)))
    with pytest.raises(UserError, match="leave the history out"):
        told(SourceNames(chosen), [PastEvent("i1", 1, True)])
