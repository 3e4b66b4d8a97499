"""Nested values go into a row of tensors and come back as they were."""

from __future__ import annotations

import pytest
import torch

from rankbench.bench.contract import Jagged
from rankbench.bench.export.tensors import tensors, with_tensors
from rankbench.kernels.hstu_attention import KVCache, plan_attention


def test_places_have_names_and_other_tensors_take_them() -> None:
    value = {
        "item": torch.arange(3),
        "genres": Jagged(torch.arange(4), torch.tensor([0, 1, 4])),
        "time": None,
        "kept": [(7, "x")],
    }
    found = tensors(value, "batch")
    assert list(found) == ["batch.item", "batch.genres.values", "batch.genres.offsets"]
    other = with_tensors(value, [tensor + 1 for tensor in found.values()])
    assert (
        other["item"].tolist() == [1, 2, 3]
        and isinstance(other["genres"], Jagged)
        and other["genres"].offsets.tolist() == [1, 2, 5]
    )
    assert other["time"] is None and other["kept"] == [(7, "x")]
    with pytest.raises(ValueError, match="4 tensors for 3 places"):
        with_tensors(value, [*found.values(), torch.zeros(1)])
    with pytest.raises(ValueError, match="2 tensors for 3 places"):
        with_tensors(value, list(found.values())[:2])


def test_a_cache_of_keys_and_values_comes_back_with_what_its_layers_keep() -> None:
    place = torch.arange(3)
    cache = KVCache.empty(plan_attention(torch.tensor([0, 3]), place, place, place), 2)
    cache.layers[0].with_past(torch.ones(3, 1, 2), torch.zeros(3, 1, 2))  # the second layer keeps nothing
    found = tensors(cache)
    assert [name for name in found if name.startswith("layers")] == ["layers.0._key", "layers.0._value"]
    other = with_tensors(cache, [tensor.clone() for tensor in found.values()])
    assert len(other) == 3 and other.layers[0] is not cache.layers[0]
    keys, _ = other.layers[0].with_past(torch.full((1, 1, 2), 5.0), torch.zeros(1, 1, 2))
    assert keys.shape[0] == 4 and keys[-1, 0, 0] == 5
