"""Residual k-means: cluster vectors, then what each is off its centre, and so on; the numbers of the clusters are the codes."""

from __future__ import annotations

import numpy as np


def residual_kmeans(training: np.ndarray, every: np.ndarray, levels: int, size: int) -> np.ndarray:
    """int32 [n, levels]: see `codes.Quantizer`. A level has fewer clusters than `size` where fewer residuals differ."""
    rest, residual = training.astype(np.float64), every.astype(np.float64)
    codes = np.empty((len(every), levels), dtype=np.int32)
    for level in range(levels):
        centres = cluster(rest, size, level)
        codes[:, level] = nearest(residual, centres)
        rest, residual = rest - centres[nearest(rest, centres)], residual - centres[codes[:, level]]
    return codes


def cluster(rows: np.ndarray, size: int, seed: int) -> np.ndarray:
    """float64 [size at most, d]: centres of the rows [n, d]."""
    from sklearn.cluster import KMeans

    different = len(np.unique(rows.round(9), axis=0))
    return KMeans(min(size, different), n_init=3, random_state=seed).fit(rows).cluster_centers_  # pyright: ignore[reportArgumentType]


def nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """int64 [n]: which of the centres [k, d] is nearest to each row [n, d]; the first of several."""
    return (np.square(centres).sum(1) - 2 * rows @ centres.T).argmin(1)
