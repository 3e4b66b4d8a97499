"""Gradient boosted trees over counts and recency (Friedman 2001; histograms as in LightGBM, Ke et al. 2017).

What a careful engineer builds before any network: smoothed click rates of every field's values and of (user, category), and
statistics of the visible past. A rate of a training row counts the other folds' rows alone, so that no row's own label is among
its inputs; a row to be scored counts all training rows. The five folds are by a hash of the example's content and the seed: no
later event moves a row to another fold, and the spread over seeds holds the noise of the folds. A share of training rows reads
the counts of an unknown user or item, which is what new ones will have.

scikit-learn grows the trees. They are kept as tensors and evaluated in torch: no pickle, any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from ..bench.contract import (
    UNKNOWN,
    Choice,
    DataSpec,
    Ids,
    ModelInfo,
    NotNegative,
    PointwiseBatch,
    Positive,
    Ranker,
    Rate,
    Real,
    Share,
    Size,
)
from ..kernels.lookup import segment_mean
from ._inputs import category_field, example_fields, example_of_event, jagged_rows, latest, shared_value
from ._layers import logit
from .floors import hash_of

FOLDS = 5


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of the boosted trees."""

    trees: Size = 200
    learning_rate: Positive = 0.05
    leaves: Size = 31
    """Of a tree, at most."""
    depth: Size = 8
    """Of a tree, at most."""
    rows_in_leaf: Size = 50
    """Training rows in a leaf, at least."""
    l2: NotNegative = 1.0
    feature_share: Share = 0.5
    """Features that are tried at a split, drawn by the seed."""
    strength: NotNegative = 10.0
    """Rows at the base rate that are added to every count."""
    unknown_rate: Rate = 0.1
    """Share of training rows that read the counts of an unknown user, and of those that read an unknown item's."""
    category: str = ""
    """The item field of (user, category) counts; empty: the first side field, or the item id where there is none."""
    hash_bits: Size = 20
    """(user, category) pairs share 2**hash_bits counters."""


class FoldCounts(nn.Module):
    """How often each value was shown and was positive, in each fold of the training rows."""

    counts: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("counts", torch.zeros(2, (FOLDS + 1) * size, dtype=torch.int32))
        """Shown, positive; the folds one after the other, then all of them."""

    def add(self, ids: Tensor, label: Tensor, fold: Tensor) -> None:
        for row, amount in enumerate((torch.ones_like(ids), label.long())):
            for slot in (fold, torch.full_like(fold, FOLDS)):
                self.counts[row].index_add_(0, slot * self.size + ids, amount.int())

    def read(self, ids: Tensor, fold: Tensor | None) -> tuple[Tensor, Tensor]:
        """Shown and positive among the rows outside `fold`; among all rows without it."""
        found = self.counts[:, FOLDS * self.size + ids]
        if fold is not None:
            found = found - self.counts[:, fold * self.size + ids]
        return found[0].float(), found[1].float()


class GBDT(Ranker):
    """Counts, features, trees: logit = base + sum of the reached leaves' values."""

    threshold: Tensor
    value: Tensor
    feature: Tensor
    left: Tensor
    right: Tensor
    base: Tensor

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config, self.rate = config, spec.positive_rate
        self.fields = example_fields(spec, "embedding")
        self.numbers = tuple(field.name for field in spec.context if not field.multi)
        """Fields whose ids are features themselves: bins of numbers are in order, others by how frequent they are."""
        self.category = category_field(spec, config.category)
        self.tables = nn.ModuleList(FoldCounts(field.size) for field in self.fields)
        self.pairs = FoldCounts(2**config.hash_bits)
        self.seed = int(torch.randint(2**31, ()))
        self.seen: list[tuple[Tensor, Tensor, dict[str, Ids], Tensor]] = []
        """Rows that were observed. They stay: trees cannot go on from others, and are grown anew when more has been observed."""
        shape = (config.trees, 2 * config.leaves - 1)
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int64))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("base", torch.tensor(logit(spec.positive_rate)))

    def observe(self, batch: PointwiseBatch) -> None:
        fold = self.fold_of(batch.key)
        for field, table in zip(self.fields, self.tables, strict=True):
            assert isinstance(table, FoldCounts)
            ids, row = flat(batch.fields[field.name])
            table.add(ids, batch.label[row], fold[row])
        ids, row = self.pair_ids(batch.fields)
        self.pairs.add(ids, batch.label[row], fold[row])
        self.seen.append((batch.key, batch.label, batch.fields, self.past_features(batch)))

    def finish(self) -> None:
        inputs = []
        for key, _, fields, past in self.seen:
            counts = self.count_features(self.hidden(fields, key), self.fold_of(key))
            inputs.append(torch.cat([counts, past], dim=1))
        x, y = torch.cat(inputs).cpu().numpy(), torch.cat([label for _, label, _, _ in self.seen]).cpu().numpy()
        if len(np.unique(y)) == 2:
            self.load_trees(self.grow(x, y))

    def forward(self, batch: PointwiseBatch) -> Tensor:
        return self.evaluate(torch.cat([self.count_features(batch.fields, None), self.past_features(batch)], dim=1))

    def fold_of(self, key: Tensor) -> Tensor:
        """int64 [n] in 0 .. FOLDS - 1: by what the example is and the seed, whatever else there is."""
        return (self.draw(key, 0) & 0xFFFFFF) % FOLDS

    def draw(self, key: Tensor, salt: int) -> Tensor:
        """int64 [n], random bits of examples; other ones for each seed and salt."""
        return hash_of(hash_of(key + salt) ^ self.seed) >> 20

    def hidden(self, fields: dict[str, Ids], key: Tensor) -> dict[str, Ids]:
        """The fields with a share of the user and item ids replaced by unknown."""
        changed = dict(fields)
        for salt, name in enumerate(("user", "item"), start=1):
            ids = fields[name]
            assert isinstance(ids, Tensor)
            chosen = (self.draw(key, salt) & 0xFFFFF) < self.config.unknown_rate * 2**20
            changed[name] = torch.where(chosen, UNKNOWN, ids)
        return changed

    def pair_ids(self, fields: dict[str, Ids]) -> tuple[Tensor, Tensor]:
        """Counter of (user, category) for each of the candidate's categories, and its row."""
        user = fields["user"]
        assert isinstance(user, Tensor)
        ids, row = flat(fields[self.category.name])
        pair = hash_of(user[row] * self.category.size + ids) >> 20 & self.pairs.size - 1
        # Nobody's own: what an unknown user or category has seen says nothing.
        return torch.where((user[row] > UNKNOWN) & (ids > UNKNOWN), pair, 0), row

    def count_features(self, fields: dict[str, Ids], fold: Tensor | None) -> Tensor:
        """Smoothed rate and logarithm of the count for every field and (user, category), then ids that are numbers.

        Args:
            fields: of n examples.
            fold: int64 [n], whose rows are left out of an example's counts; None: no row is.
        """
        n, columns = len(fields["user"]), []  # type: ignore[arg-type]
        counted = [(flat(fields[field.name]), table, field) for field, table in zip(self.fields, self.tables, strict=True)]
        for (ids, row), table, field in [*counted, (self.pair_ids(fields), self.pairs, self.category)]:
            assert isinstance(table, FoldCounts)
            shown, positive = table.read(ids, None if fold is None else fold[row])
            strength = self.config.strength
            both = torch.stack([(positive + strength * self.rate) / (shown + strength), shown.log1p()], dim=1)
            columns.append(_mean(both, row, n) if field.multi else both)
        columns += [fields[name].unsqueeze(1).float() for name in self.numbers]  # type: ignore[union-attr]
        return torch.cat(columns, dim=1)

    def past_features(self, batch: PointwiseBatch) -> Tensor:
        """Counts and smoothed shares of positives in the past: all, latest five, same item, same category; latest event."""
        history, row = batch.history, example_of_event(batch.history)
        n, every = len(batch), torch.ones_like(row, dtype=torch.bool)
        masks = [every, latest(every, history.offsets, row, 5)]
        masks += [shared_value(batch.fields[name], history.fields[name], row) for name in ("item", self.category.name)]
        columns = []
        for mask in masks:
            shown = torch.zeros(n, device=row.device).index_add_(0, row, mask.float())
            positive = torch.zeros(n, device=row.device).index_add_(0, row, mask * history.label)
            columns += [shown, (positive + 2 * self.rate) / (shown + 2)]
        # The latest event, or -1: there is none.
        last = [history.label, history.action.float()] + ([history.gap.float()] if history.gap is not None else [])
        padded = torch.cat([torch.stack(last, dim=1), torch.full((1, len(last)), -1.0, device=row.device)])
        at = torch.where(history.offsets.diff() > 0, history.offsets[1:] - 1, len(row))
        return torch.cat([torch.stack(columns, dim=1), padded[at]], dim=1)

    def grow(self, x: np.ndarray, y: np.ndarray) -> HistGradientBoostingClassifier:
        """scikit-learn's trees for features [rows, features] and labels."""
        config = self.config
        trees = HistGradientBoostingClassifier(
            max_iter=config.trees,
            learning_rate=config.learning_rate,
            max_leaf_nodes=config.leaves,
            max_depth=config.depth,
            min_samples_leaf=config.rows_in_leaf,
            l2_regularization=config.l2,
            max_features=config.feature_share,
            early_stopping=False,  # type: ignore[arg-type]
            random_state=self.seed,
        )
        with threadpool_limits(torch.get_num_threads()):
            return trees.fit(x, y)

    def load_trees(self, trees: HistGradientBoostingClassifier) -> None:
        """Copy grown trees into the buffers. A leaf's children are itself, so that every row may take the same steps."""
        # Splits and values are not part of scikit-learn's public interface; a test compares the scores.
        self.base.fill_(float(trees._baseline_prediction.item()))
        for at, (tree,) in enumerate(trees._predictors):
            nodes, own = tree.nodes, np.arange(len(tree.nodes))
            leaf = nodes["is_leaf"].astype(bool)
            # Inputs are float32: x <= t holds exactly where x <= the largest float32 not above t.
            threshold = nodes["num_threshold"].astype(np.float32)
            above = threshold.astype(np.float64) > nodes["num_threshold"]
            threshold[above] = np.nextafter(threshold[above], np.float32(-math.inf))
            columns = {
                "feature": np.where(leaf, 0, nodes["feature_idx"]),
                "left": np.where(leaf, own, nodes["left"]),
                "right": np.where(leaf, own, nodes["right"]),
                "threshold": threshold,
                "value": nodes["value"],
            }
            for name, column in columns.items():
                self.get_buffer(name)[at, : len(nodes)] = torch.from_numpy(column.astype(np.float64))

    def evaluate(self, x: Tensor) -> Tensor:
        """Features float32 [n, features] -> logits [n]."""
        tree = torch.arange(len(self.value), device=x.device)
        node = torch.zeros(len(x), len(tree), dtype=torch.int64, device=x.device)
        for _ in range(self.config.depth):
            below = x.gather(1, self.feature[tree, node]) <= self.threshold[tree, node]
            node = torch.where(below, self.left[tree, node], self.right[tree, node])
        return self.base + self.value[tree, node].sum(dim=1)


def flat(ids: Ids) -> tuple[Tensor, Tensor]:
    """All values of a field, and the row of each."""
    if isinstance(ids, Tensor):
        return ids, torch.arange(len(ids), device=ids.device)
    return ids.values, jagged_rows(ids)


def _mean(values: Tensor, row: Tensor, n: int) -> Tensor:
    offsets = torch.cat([row.new_zeros(1), torch.bincount(row, minlength=n).cumsum(0)])
    return segment_mean(values, offsets)


INFO = ModelInfo(
    name="gbdt",
    family="classical",
    view="pointwise",
    config=Config,
    build=GBDT,
    summary="boosted trees over click rates, counts and recency",
    paper="Friedman 2001, Annals of Statistics 29; Ke et al. 2017, LightGBM",
    code="scikit-learn HistGradientBoostingClassifier, evaluated in torch; own features",
    differs=(
        "features are those of this harness: out-of-fold rates and counts, statistics of the past, ids of the context",
        "a fixed number of trees, without early stopping",
    ),
    fit="counts",
    space={
        "learning_rate": Real(0.01, 0.3, log=True),
        "trees": Choice((100, 200, 400, 800)),
        "leaves": Choice((7, 15, 31, 63, 127)),
        "depth": Choice((3, 5, 8, 12)),
        "rows_in_leaf": Choice((10, 20, 50, 200)),
        "l2": Choice((0.0, 1.0, 10.0, 100.0)),
        "feature_share": Real(0.2, 1.0),
        "strength": Choice((1.0, 10.0, 100.0)),
    },
)
