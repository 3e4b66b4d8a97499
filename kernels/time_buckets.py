"""Logarithmic buckets of time gaps, shared by every model that is given time information."""

import functools
import math

import torch
from torch import Tensor

GAP_BUCKETS = 72
"""Rows of a table over gaps. ln(10 years in seconds) / 0.301 is 65; larger gaps share the last row."""

_CPU = torch.device("cpu")

_WIDTH = 0.301
"""Natural logarithm of the ratio of neighbouring borders, about 2.3 buckets a doubling (HSTU's released code)."""

_BORDERS_MS = torch.tensor([math.exp(_WIDTH * bucket) * 1000 for bucket in range(1, GAP_BUCKETS)], dtype=torch.float64)


@functools.cache
def borders(device: torch.device = _CPU) -> Tensor:
    """int64 [GAP_BUCKETS - 1], milliseconds: a gap's bucket is the number of borders that it reaches. Copied to a device once,
    because a copy makes the host wait; not to be written to."""
    return _BORDERS_MS.ceil().to(torch.int64).to(device)


def time_buckets(gap_ms: Tensor) -> Tensor:
    """Bucket of each gap: floor(ln(max(1, |gap in seconds|)) / 0.301), at most GAP_BUCKETS - 1.

    Args:
        gap_ms: int64, any shape, milliseconds; the sign is ignored.

    Returns:
        int64 of the same shape. Found by searching exact borders: no logarithm, the same result on every device.
    """
    return torch.bucketize(gap_ms.abs(), borders(gap_ms.device), right=True)


def smallest_gaps(like: Tensor) -> Tensor:
    """[GAP_BUCKETS], seconds, of the type and on the device of `like`: the smallest gap of each bucket."""
    seconds = borders(like.device).to(torch.float64 if like.device.type == "cpu" else torch.float32) / 1000
    return torch.cat([seconds.new_zeros(1), seconds]).to(like.dtype)
