"""Tables of predictions are put side by side only if they are about the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.predictions import IDENTITY, align
from rankbench.bench.evaluation.stats import compare


def table(n: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {name: np.arange(n) for name in ("example", "user", "request", "item", "time")}
    return pd.DataFrame({**columns, "label": np.arange(n) % 2, "score": rng.random(n)})


def test_align_gives_labels_users_and_scores_by_model() -> None:
    first, second = table(), table().assign(score=0.25)
    aligned = align({"a": [first, second], "b": [second]})
    assert np.array_equal(aligned.label, first["label"]) and np.array_equal(aligned.user, first["user"])
    assert [len(seeds) for seeds in aligned.scores.values()] == [2, 1]
    assert np.array_equal(aligned.scores["a"][0], first["score"]) and (aligned.scores["a"][1] == 0.25).all()
    assert np.array_equal(aligned.request, first["request"])
    assert compare(aligned, "auc").standing().models.keys() == {"a", "b"}


@pytest.mark.parametrize("key", IDENTITY)
def test_align_refuses_other_rows(key: str) -> None:
    other = table()
    other.loc[4, key] = 1 - other.loc[4, key] if key == "label" else 99
    with pytest.raises(
        UserError, match=rf"predictions of b and a are not about the same rows \({key}\): run both on the same data"
    ):
        align({"a": [table()], "b": [table(), other]})


def test_align_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(UserError, match=r"not about the same rows \(19 and 20 rows\)"):
        align({"a": [table()], "b": [table(19)]})
    turned = table().iloc[::-1].reset_index(drop=True)
    with pytest.raises(UserError, match="not about the same rows"):
        align({"a": [table()], "b": [turned]})
    with pytest.raises(UserError, match="predictions of a lack the columns time, score"):
        align({"a": [table().drop(columns=["time", "score"])]})
    with pytest.raises(UserError, match="predictions of a: score of row 2 is nan"):
        align({"a": [table().assign(score=[0.5, 0.5, np.nan, *[0.5] * 17])]})
    for nothing in ({}, {"a": []}):
        with pytest.raises(UserError, match="there are no predictions to compare"):
            align(nothing)
