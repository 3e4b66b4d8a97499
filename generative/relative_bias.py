"""Learned biases of attention logits over relative position and over time gaps (HSTU: rab^p and rab^t)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec

RelativeBiasKind = Literal["none", "position", "time", "both"]


class RelativeBias(nn.Module):
    """One pair of tables a layer, shared by its heads, started at N(0, 0.02) as in the released HSTU code.

    Without time information in the data the time table does not exist, whatever the kind says.
    """

    def __init__(self, kind: RelativeBiasKind, spec: DataSpec, tokens_per_event: int) -> None:
        super().__init__()
        positions = tokens_per_event * (spec.history_length + 1)
        timed = kind in ("time", "both") and spec.time != "none"
        self.position = nn.Parameter(torch.randn(positions) * 0.02) if kind in ("position", "both") else None
        self.time = nn.Parameter(torch.randn(spec.gap_buckets) * 0.02) if timed else None

    def tables(self) -> tuple[Tensor | None, Tensor | None]:
        """Position table [R] and time table [buckets], None where switched off."""
        return self.position, self.time
