"""Boosted trees: their tensors against scikit-learn, their counts against a loop, and no row's label among its own inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.baselines.gbdt import FOLDS, GBDT, Config
from rankbench.bench.contract import DataSpec, PointwiseBatch

MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]
CONFIG = Config(trees=30, rows_in_leaf=3)


def observed(batches: list[PointwiseBatch], spec: DataSpec, config: Config = CONFIG) -> GBDT:
    model = GBDT(config, spec)
    for batch in batches:
        model.observe(batch)
    return model


@pytest.mark.parametrize("config", [CONFIG, Config(trees=12, leaves=5, depth=2), Config(trees=3, depth=31, rows_in_leaf=1)])
def test_scores_equal_scikit_learn(config: Config, make_spec: MakeSpec) -> None:
    rng, model = np.random.default_rng(0), GBDT(config, make_spec())
    # Ties and whole numbers, as counts have, beside numbers that lie anywhere.
    x = np.concatenate([rng.integers(0, 4, (3000, 5)), rng.normal(size=(3000, 4))], axis=1).astype(np.float32)
    y = (rng.random(3000) < 1 / (1 + np.exp(-x[:, 0] + x[:, 5] * x[:, 1]))).astype(np.float32)
    trees = model.grow(x, y)
    model.load_trees(trees)
    other = np.concatenate([x, x + rng.normal(size=x.shape).astype(np.float32)])
    found = model.evaluate(torch.from_numpy(other)).sigmoid().numpy()
    assert found.std() > 0.03
    assert np.abs(found - trees.predict_proba(other)[:, 1]).max() < 1e-6


def test_a_row_sees_the_counts_of_the_other_folds(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batches = [make_batch(spec, n=200, seed=seed) for seed in (1, 2)]
    model, batch = observed(batches, spec), batches[0]
    inside, outside = model.count_features(batch.fields, model.fold_of(batch.key)), model.count_features(batch.fields, None)
    fold = torch.cat([model.fold_of(one.key) for one in batches])
    label = torch.cat([one.label for one in batches])
    columns = {"user": 0, "item": 2 * [field.name for field in model.fields].index("item")}
    for name, column in columns.items():
        ids = torch.cat([one.fields[name] for one in batches])  # type: ignore[arg-type]
        own = batch.fields[name]
        assert isinstance(own, Tensor)
        for row in range(len(batch)):
            same = ids == own[row]
            for table, counted in ((inside, same & (fold != fold[row])), (outside, same)):
                shown, positive = int(counted.sum()), float(label[counted].sum())
                rate = (positive + CONFIG.strength * spec.positive_rate) / (shown + CONFIG.strength)
                assert table[row, column].item() == pytest.approx(rate, abs=1e-6)
                assert table[row, column + 1].item() == pytest.approx(np.log1p(shown), abs=1e-6)


def test_no_input_of_a_row_knows_its_label(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=100)
    torch.manual_seed(0)
    model = observed([batch], spec)
    features = model.count_features(batch.fields, model.fold_of(batch.key))
    for row in range(0, 100, 9):
        label = batch.label.clone()
        label[row] = 1 - label[row]
        other = replace(batch, label=label)
        torch.manual_seed(0)
        changed = observed([other], spec).count_features(batch.fields, model.fold_of(batch.key))
        assert torch.equal(changed[row], features[row]) and not torch.equal(changed, features)


def test_folds_are_of_equal_size_and_belong_to_the_example_and_the_seed(make_spec: MakeSpec) -> None:
    model, other = GBDT(CONFIG, make_spec()), GBDT(CONFIG, make_spec())
    fold = model.fold_of(torch.arange(100_000))
    assert torch.bincount(fold, minlength=FOLDS).tolist() == pytest.approx([20_000] * FOLDS, rel=0.03)
    assert torch.equal(model.fold_of(torch.tensor([77, 5])), fold[[77, 5]])
    assert (other.fold_of(torch.arange(100_000)) == fold).float().mean().item() == pytest.approx(1 / FOLDS, abs=0.01)


def test_past_features_equal_a_loop(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=60)
    past, found = batch.history, GBDT(CONFIG, spec).past_features(batch)
    item, seen = batch.fields["item"], past.fields["item"]
    assert isinstance(item, Tensor) and isinstance(seen, Tensor) and past.gap is not None
    for row in range(len(batch)):
        events = list(range(int(past.offsets[row]), int(past.offsets[row + 1])))
        same = [event for event in events if seen[event] == item[row] > 1]
        for column, chosen in ((0, events), (2, events[-5:]), (4, same)):
            positive = sum(past.label[event].item() for event in chosen)
            assert found[row, column] == len(chosen)
            assert found[row, column + 1].item() == pytest.approx((positive + 2 * spec.positive_rate) / (len(chosen) + 2))
        last = [past.label[events[-1]], past.action[events[-1]], past.gap[events[-1]]] if events else [-1.0] * 3
        assert found[row, -3:].tolist() == [float(value) for value in last]


def test_a_share_of_training_rows_is_as_unknown_as_new_users(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=2000)
    hidden = GBDT(Config(unknown_rate=0.3), spec).hidden(batch.fields, batch.key)
    shares = []
    for name in ("user", "item"):
        before, after = batch.fields[name], hidden[name]
        assert isinstance(before, Tensor) and isinstance(after, Tensor)
        shares.append(((after != before) & (after == 1)).float())
        assert ((after == before) | (after == 1)).all()
        assert shares[-1].mean().item() == pytest.approx(0.3, abs=0.05)
    assert shares[0] @ shares[1] / 2000 == pytest.approx(0.09, abs=0.03), "users and items are hidden independently"


def test_one_kind_of_label_gives_the_base_rate(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = observed([replace(batch, label=torch.ones_like(batch.label))], spec)
    model.finish()
    assert torch.allclose(model(batch).sigmoid(), torch.tensor(spec.positive_rate))
