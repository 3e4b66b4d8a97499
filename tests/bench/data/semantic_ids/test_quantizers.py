"""Quantisers find clusters within clusters, code what they were not fitted to, and depend on nothing but their rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankbench.bench.data.semantic_ids import rq_vae
from rankbench.bench.data.semantic_ids.codes import Quantizer
from rankbench.bench.data.semantic_ids.kmeans import cluster, nearest, residual_kmeans

QUANTIZERS = [residual_kmeans, pytest.param(rq_vae.residual_autoencoder, marks=pytest.mark.long)]


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Three clusters of three; rows, and the large cluster of each."""
    for name, value in (("STEPS", 200), ("WARM", 60), ("SETTLED", 160)):
        monkeypatch.setattr(rq_vae, name, value)
    rng = np.random.default_rng(0)
    large, small = np.repeat(np.arange(3), 60), np.tile(np.arange(3), 60)
    centres, steps = 10 * np.eye(3, 6), np.roll(2 * np.eye(3, 6), 3, axis=1)
    return (centres[large] + steps[small] + 0.05 * rng.normal(size=(180, 6))).astype(np.float32), large


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_the_first_code_is_coarse_and_the_second_fine(quantizer: Quantizer, clusters: tuple[np.ndarray, np.ndarray]) -> None:
    rows, large = clusters
    codes = quantizer(rows[::2], rows, 2, 3)
    assert codes.dtype == np.int32 and codes.shape == (180, 2)
    for one in range(3):
        assert len(set(codes[large == one, 0])) == 1
    assert len(np.unique(codes[:, 0])) == 3 and len(np.unique(codes, axis=0)) >= 7


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_other_rows_and_other_random_numbers_change_nothing(
    quantizer: Quantizer, clusters: tuple[np.ndarray, np.ndarray]
) -> None:
    rows, _ = clusters
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = quantizer(rows[:90], rows, 2, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    np.testing.assert_array_equal(quantizer(rows[:90], rows[:120], 2, 3), first[:120])


def test_fewer_rows_than_codes_are_no_fault() -> None:
    rows = np.array([[0.0, 1.0], [0.0, 1.0], [4.0, 0.0]], dtype=np.float32)
    codes = residual_kmeans(rows, rows, 3, 16)
    assert (codes[0] == codes[1]).all() and codes[0, 0] != codes[2, 0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nearest_is_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, centres = rng.normal(size=(20, 3)), rng.normal(size=(5, 3))
    literal = [min(range(5), key=lambda at: float(((row - centres[at]) ** 2).sum())) for row in rows]
    assert nearest(rows, centres).tolist() == literal


def test_clusters_have_the_mean_of_their_rows() -> None:
    rows = np.array([[0.0], [1.0], [10.0], [12.0]])
    assert sorted(cluster(rows, 2, 0).ravel().tolist()) == [0.5, 11.0]
