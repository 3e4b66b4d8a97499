"""Floors against plain group-bys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from rankbench.baselines import floors
from rankbench.bench.contract import DataSpec, Ids, ModelInfo, PointwiseBatch, Ranker

CARDS = [floors.RANDOM, floors.POPULARITY, floors.CTR]
MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]


def fitted(info: ModelInfo, spec: DataSpec, batches: list[PointwiseBatch], **options: object) -> Ranker:
    torch.manual_seed(0)
    model = info.build(info.config(**options), spec)
    for batch in batches:
        model.observe(batch)
    model.finish()
    return model.eval()


def column(ids: Ids) -> np.ndarray:
    assert isinstance(ids, torch.Tensor)
    return ids.numpy()


def log_odds(p: Any) -> Any:
    return np.log(p / (1 - p))


@pytest.mark.parametrize("info", CARDS, ids=lambda info: info.name)
def test_state_lives_in_buffers(info: ModelInfo, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model, batch = fitted(info, spec, [make_batch(spec)]), make_batch(spec, seed=5)
    fresh = info.build(info.config(), spec)
    fresh.load_state_dict(model.state_dict())
    assert info.fit == "counts" and not list(model.parameters())
    assert torch.equal(fresh(batch), model(batch)) and fresh(batch).shape == (64,)


@pytest.mark.parametrize("info", CARDS, ids=lambda info: info.name)
def test_counts_do_not_depend_on_how_examples_are_batched(
    info: ModelInfo, make_spec: MakeSpec, make_batch: MakeBatch, rows_of: Callable[..., PointwiseBatch]
) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    parts = [rows_of(batch, list(range(first, min(first + 9, 64)))) for first in range(0, 64, 9)]
    assert torch.equal(fitted(info, spec, parts)(batch), fitted(info, spec, [batch])(batch))


def test_ctr_adds_smoothed_log_odds(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    train, test = [make_batch(spec, n=300, seed=seed) for seed in (1, 2)], make_batch(spec, seed=3)
    score = fitted(floors.CTR, spec, train, strength=4.0)(test)
    fields = ("user", "item", "tab")
    frame = pd.concat(
        pd.DataFrame({"label": batch.label.numpy(), **{f: column(batch.fields[f]) for f in fields}}) for batch in train
    )
    base = frame["label"].mean()
    expected = pd.Series(log_odds(spec.positive_rate), index=range(64))
    for field in fields:
        groups = frame.groupby(field)["label"]
        effect = log_odds((groups.sum() + 4 * base) / (groups.count() + 4)) - log_odds(base)
        expected += pd.Series(column(test.fields[field])).map(effect).fillna(0.0)
    assert np.allclose(score.numpy(), expected, atol=1e-5)


def test_ctr_takes_side_information_only_when_asked(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec("request")
    assert floors.ClickRates(floors.CTRConfig(), spec).names == ("user", "item", "tab")
    assert floors.ClickRates(floors.CTRConfig(side_information=True), spec).names == ("user", "item", "tab", "year")


def test_a_value_never_seen_adds_nothing(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    train, test = make_batch(spec, n=300), make_batch(spec)
    known = {**train.fields, "item": torch.from_numpy(column(train.fields["item"])).clamp(min=5)}
    model = fitted(floors.CTR, spec, [replace(train, fields=known)])
    unknown = {**test.fields, "item": torch.ones(64, dtype=torch.long)}
    score = model(replace(test, fields=unknown))
    effects = [model.get_buffer(f"effect_{at}")[column(test.fields[name])] for at, name in ((0, "user"), (2, "tab"))]
    assert torch.allclose(score, floors.logit(spec.positive_rate) + torch.stack(effects).sum(0), atol=1e-6)


@pytest.mark.parametrize("strength", [3.0, 20.0])
def test_prior_strength_is_found_again(strength: float) -> None:
    rng = np.random.default_rng(0)
    shown = rng.integers(1, 40, 20_000)
    positive = rng.binomial(shown, rng.beta(0.3 * strength, 0.7 * strength, len(shown)))
    found = floors.prior_strength(torch.tensor(shown).double(), torch.tensor(positive).double())
    assert found == pytest.approx(strength, rel=0.1)


def test_prior_strength_without_differences_between_values() -> None:
    shown = torch.full((100,), 10.0, dtype=torch.float64)
    assert floors.prior_strength(shown, shown / 2) == 1e4
    assert floors.prior_strength(torch.ones(5).double(), torch.tensor([0.0, 1, 0, 1, 1]).double()) == 1e4


def test_popularity_is_the_logistic_regression_on_log_positives(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    train, test = make_batch(spec, n=2000), make_batch(spec, seed=1)
    item = column(train.fields["item"])
    label = np.random.default_rng(0).random(2000) < item / 50
    train = replace(train, label=torch.from_numpy(label).float())
    popularity = np.log1p(np.bincount(item, weights=label, minlength=40))
    reference = LogisticRegression(C=1e9, tol=1e-10).fit(popularity[item, None], label)
    expected = reference.decision_function(popularity[column(test.fields["item"]), None])
    assert np.allclose(fitted(floors.POPULARITY, spec, [train])(test).numpy(), expected, atol=1e-3)


def test_popularity_never_turns_around(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    """Item 2 is shown and liked often, item 3 rarely shown and always liked: popularity still puts 2 first."""
    spec = make_spec()
    batch = make_batch(spec, n=200)
    item = torch.where(torch.arange(200) < 190, 2, 3)
    label = ((torch.arange(200) % 3 == 0) | (item == 3)).float()
    batch = replace(batch, label=label, fields={**batch.fields, "item": item})
    score = fitted(floors.POPULARITY, spec, [batch])(batch)
    assert score[0] > score[-1]


def test_random_has_auc_one_half_and_a_sane_logloss(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model = fitted(floors.RANDOM, spec, [])
    n = 50_000
    example = torch.arange(n)
    batch = PointwiseBatch(example, torch.zeros(n), {}, make_batch(spec).history, key=example)
    probability = model(batch).sigmoid().numpy()
    label = np.random.default_rng(0).random(n) < 0.3
    # Standard error of the AUC of a score without information: sqrt((n + 1) / (12 * positives * negatives)).
    assert abs(roc_auc_score(label, probability) - 0.5) < 4 * np.sqrt((n + 1) / (12 * 0.21 * n * n))
    assert probability.min() > 0.28 and probability.max() < 0.32
    assert abs(np.corrcoef(probability[1:], probability[:-1])[0, 1]) < 0.02
    assert len(np.unique(probability)) > 0.9 * n


def test_random_depends_on_example_and_seed_alone(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model, batch = fitted(floors.RANDOM, spec, []), make_batch(spec)
    assert torch.equal(model(batch), fitted(floors.RANDOM, spec, [batch])(batch))
    other = floors.RandomFloor(floors.RandomConfig(), spec)
    assert not torch.equal(other(batch), model(batch))
