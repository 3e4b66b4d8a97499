"""Embedding tables: jagged means, the start of unknown ids, names that torch's own containers refuse."""

import pytest
import torch

from rankbench.bench.contract import Field, Jagged
from rankbench.kernels.layers.embedding import FieldEmbeddings


def test_unknown_says_nothing_and_several_values_are_averaged() -> None:
    fields = (Field("item", 5), Field("type", 3), Field("a.b", 4), Field("genres", 6, multi=True))
    tables = FieldEmbeddings(fields, 3)
    ids = {
        "item": torch.tensor([1, 4]),
        "type": torch.tensor([1, 2]),
        "a.b": torch.tensor([1, 3]),
        "genres": Jagged(torch.tensor([2, 4, 5]), torch.tensor([0, 0, 3])),
    }
    vectors = tables(ids, ("genres", "item", "type", "a.b"))
    assert vectors.shape == (2, 4, 3)
    assert vectors[0].abs().sum() == 0
    weight = tables.tables[3].weight
    assert torch.allclose(vectors[1, 0], weight[[2, 4, 5]].mean(0))  # type: ignore[index]
    assert vectors[1, 1].tolist() == pytest.approx(tables.lookup("item", torch.tensor([4]))[0].tolist())
