"""Scores survive the disk exactly as they were judged, and what rounding does to them is bounded."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rankbench.bench.evaluation import metrics, scores
from support.records import predictions

PROBABILITIES = arrays.arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1))


@given(PROBABILITIES)
def test_rounding_twice_is_rounding_once_and_moves_a_probability_little(probability: np.ndarray) -> None:
    once = scores.rounded(probability)
    assert np.array_equal(scores.rounded(once), once)
    assert np.abs(once - probability).max() <= 0.25 * 0.5 / scores.STEPS + 1e-12, "a quarter of half a step of the logit"


@given(PROBABILITIES)
def test_rounding_keeps_the_order_up_to_ties(probability: np.ndarray) -> None:
    order = np.argsort(probability, kind="stable")
    assert (np.diff(scores.codes(probability)[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.5])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="must be probabilities"):
        scores.codes(np.array([0.5, wrong]))


def test_a_table_comes_back_with_further_labels() -> None:
    table = predictions(1.0)
    table = table.assign(
        **{"label.like": 1 - table["label"], "label.buy": table["label"], "score.like": table["score"][::-1].array}
    )
    rows, kept = scores.split(table)
    assert set(kept) == {"score", "score.like"} and "score" not in rows and {"label.like", "label.buy"} <= set(rows)
    pd.testing.assert_frame_equal(scores.join(rows, kept), table, check_like=True)


def test_scores_that_were_judged_finer_than_they_are_kept_are_refused() -> None:
    table = predictions(1.0)
    with pytest.raises(ValueError, match="column score holds scores that were not rounded"):
        scores.split(table.assign(score=table["score"] * 0.999))


def test_rounding_moves_no_metric_that_matters() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 20_000)
    score = 1 / (1 + np.exp(-(label + rng.normal(size=len(label)))))
    for metric in (metrics.auc, metrics.logloss):
        assert abs(metric(label, scores.rounded(score)) - metric(label, score)) < 1e-5


def test_the_hash_of_rows_knows_contents_but_not_widths() -> None:
    rows, _ = scores.split(predictions(1.0))
    assert scores.rows_hash(rows) == scores.rows_hash(rows.astype({"user": "int32", "label": "uint8"})[rows.columns[::-1]])
    assert scores.rows_hash(rows) != scores.rows_hash(rows.assign(item=rows["item"] + 1))
    assert scores.rows_hash(rows) != scores.rows_hash(rows.rename(columns={"item": "thing"}))
