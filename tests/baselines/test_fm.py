"""FM against the double sum over all pairs of features, in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines.fm import FM, Config, pairwise
from rankbench.bench.contract import DataSpec, Ids, PointwiseBatch
from rankbench.kernels.layers.embedding import FieldEmbeddings
from support.example_rows import in_double


def test_the_pairwise_sum_equals_a_loop_over_pairs() -> None:
    vectors = torch.randn(5, 7, 3, dtype=torch.float64)
    expected = sum(vectors[:, i] * vectors[:, j] for i, j in combinations(range(7), 2))
    assert isinstance(expected, Tensor) and torch.allclose(pairwise(vectors), expected, atol=1e-12)


def weight(embeddings: FieldEmbeddings, name: str) -> Tensor:
    table = embeddings.tables[embeddings.index[name]].weight
    assert isinstance(table, Tensor)
    return table


def vector(table: Tensor, ids: Ids, row: int) -> Tensor:
    values = ids[row : row + 1] if isinstance(ids, Tensor) else ids.values[ids.offsets[row] : ids.offsets[row + 1]]
    return table[values].sum(0) / max(len(values), 1)


def literal(model: FM, batch: PointwiseBatch) -> Tensor:
    """Each field's features weighted by x = 1 / (number of them), then every pair of fields."""
    past, width, logits = batch.history, model.width, []
    for row in range(len(batch)):
        features = [vector(weight(model.example, name), batch.fields[name], row) for name in model.example_names]
        events = range(int(past.offsets[row]), int(past.offsets[row + 1]))
        for label in (0, 1):
            own = [event for event in events if past.label[event] == label]
            for name in model.event_names:
                table = weight(model.past, name)[:, label * width : (label + 1) * width]
                parts = [vector(table, past.fields[name], event) / len(own) for event in own]
                features.append(sum(parts, torch.zeros(width, dtype=torch.float64)))
        tables = {name: weight(model.outcomes.tables, name) for name in model.outcomes.tables.index}
        outcomes = [tables["action"][past.action[e]] + tables["label"][2 + int(past.label[e])] for e in events]
        features.append(sum(outcomes, torch.zeros(width, dtype=torch.float64)) / max(len(events), 1))
        if past.gap is not None:
            gaps = [tables["gap"][past.gap[event]] for event in events]
            features.append(sum(gaps, torch.zeros(width, dtype=torch.float64)) / max(len(events), 1))
        first = torch.stack([feature[0] for feature in features]).sum()
        second = torch.stack([a[1:] @ b[1:] for a, b in combinations(features, 2)]).sum()
        logits.append(model.bias + first + second)
    return torch.stack(logits)


@pytest.mark.parametrize("time", ["none", "request"])
def test_equals_the_formula(time: str, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]) -> None:
    spec = make_spec(time)
    model, batch = FM(Config(embedding_dim=3), spec).double(), in_double(make_batch(spec, n=20))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    assert torch.allclose(model(batch), literal(model, batch), atol=1e-12)
