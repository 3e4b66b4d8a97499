"""AUC over drawn users: the table of pairs and the running counts against the AUC of repeated examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rankbench.bench.evaluation.weighted_auc import FEW_USERS

from rankbench.bench.evaluation import metrics, weighted_auc


@pytest.mark.parametrize("few", [0, FEW_USERS])
@given(seed=st.integers(0, 10_000), users=st.integers(1, 12), n=st.integers(2, 60), levels=st.integers(1, 40))
def test_a_drawn_user_counts_with_all_examples(few: int, seed: int, users: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    label, group, score = rng.integers(0, 2, n), rng.integers(0, users, n), rng.integers(0, levels, n) / levels
    group[-1] = users - 1
    drawn = rng.multinomial(users, np.full(users, 1 / users), size=3).astype(np.float64)
    found = weighted_auc.weighted_auc(label == 1, group, score, few)(drawn)
    assert found.shape == (3, 1)
    for value, count in zip(found[:, 0], drawn, strict=True):
        rows = np.repeat(np.arange(n), count[group].astype(int))
        both = 0 < label[rows].sum() < len(rows)
        assert value == pytest.approx(metrics.auc(label[rows], score[rows]), abs=1e-12) if both else np.isnan(value)


def test_both_ways_give_the_same_numbers_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    label, group, score = rng.integers(0, 2, 5000) == 1, rng.integers(0, 90, 5000), rng.normal(size=5000).round(2)
    drawn = rng.multinomial(90, np.full(90, 1 / 90), size=50).astype(np.float64)
    by_users, by_examples = (weighted_auc.weighted_auc(label, group, score, few)(drawn) for few in (FEW_USERS, 0))
    assert np.array_equal(by_users, by_examples)
    monkeypatch.setattr(weighted_auc, "_BLOCK", 700)
    assert np.array_equal(weighted_auc.weighted_auc(label, group, score)(drawn), by_users)
