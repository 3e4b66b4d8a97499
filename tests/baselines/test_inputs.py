"""Pooled inputs against a loop over examples and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rankbench.baselines._inputs import EmbeddingConfig, PooledInputs, event_fields, example_fields, names
from rankbench.bench.contract import DataSpec, Field, Ids, PointwiseBatch, TimeInformation
from rankbench.kernels.layers.embedding import FieldEmbeddings
from support.example_rows import in_double

DIM = 3


def weight(embeddings: FieldEmbeddings, name: str) -> Tensor:
    table = embeddings.tables[embeddings.index[name]].weight
    assert isinstance(table, Tensor)
    return table


def vector(inputs: PooledInputs, name: str, ids: Ids, row: int) -> Tensor:
    """One field of one row: a table's row, or the mean of several."""
    table = weight(inputs.embeddings, name)
    if isinstance(ids, Tensor):
        return table[ids[row]]
    values = ids.values[ids.offsets[row] : ids.offsets[row + 1]]
    return table[values].sum(0) / max(len(values), 1)


def mean(vectors: list[Tensor]) -> Tensor:
    return torch.stack(vectors).mean(0) if vectors else torch.zeros(DIM, dtype=torch.float64)


def literal(inputs: PooledInputs, spec: DataSpec, batch: PointwiseBatch) -> Tensor:
    past = batch.history
    tables = {name: weight(inputs.outcomes.tables, name) for name in inputs.outcomes.tables.index}
    result = []
    for row in range(len(batch)):
        fields = [vector(inputs, name, batch.fields[name], row) for name in names(example_fields(spec, "embedding"))]
        events = range(int(past.offsets[row]), int(past.offsets[row + 1]))
        for label in (0, 1):
            chosen = [event for event in events if past.label[event] == label]
            for name in names(event_fields(spec)):
                fields.append(mean([vector(inputs, name, past.fields[name], event) for event in chosen]))
        fields.append(mean([tables["action"][past.action[e]] + tables["label"][2 + int(past.label[e])] for e in events]))
        if past.gap is not None:
            fields.append(mean([tables["gap"][past.gap[event]] for event in events]))
        result.append(torch.stack(fields))
    return torch.stack(result)


@pytest.mark.parametrize("time", ["none", "history", "request"])
def test_equals_a_loop_over_events(
    time: TimeInformation, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    torch.manual_seed(0)
    spec = make_spec(time)
    inputs, batch = PooledInputs(EmbeddingConfig("embedding", DIM), spec).double(), in_double(make_batch(spec, n=20))
    assert (batch.history.offsets.diff() == 0).any(), "an empty past must be among the rows"
    pooled = inputs(batch)
    assert pooled.shape == (20, inputs.fields, DIM)
    assert torch.allclose(pooled, literal(inputs, spec, batch), atol=1e-14)


def test_past_events_have_no_field_of_the_time_of_the_request(make_spec: Callable[..., DataSpec]) -> None:
    assert (
        names(event_fields(make_spec("request"))) == names(event_fields(make_spec("none"))) == ("item", "genres", "year", "tab")
    )


def test_a_logged_field_is_one_of_past_events_whatever_it_is_called(make_spec: Callable[..., DataSpec]) -> None:
    spec = make_spec("request")
    logged = replace(spec, context=(*spec.context, Field("hour_of_page", 5)))
    assert names(event_fields(logged)) == (*names(event_fields(spec)), "hour_of_page")
