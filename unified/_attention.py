"""Multi-head attention of an example's own queries over its past (Vaswani et al. 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from ..kernels.linear import Linear
from ..kernels.padded_attention import padded_attention
from ..kernels.segments import Segments, segment_attention


class CrossAttention(nn.Module):
    """W_o attention(W_q x, W_k y, W_v y), heads of width / heads numbers, no biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be divided among {heads} heads")
        self.heads = heads
        self.query, self.out = Linear(width, width, bias=False), Linear(width, width, bias=False)
        self.key_value = Linear(width, 2 * width, bias=False)

    def forward(self, x: Tensor, key_value: Tensor, past: Segments, behind: bool = False) -> Tensor:
        """
        Args:
            x: queries [n, N, width].
            key_value: what `key_value` made of the tokens of all examples, end to end, [T, 2 * width].
            behind: see `segment_attention`.

        Returns:
            [n, N, width]; zeros for a query that sees nothing.
        """
        return self.out(segment_attention(self.query(x), key_value, past, self.heads, behind))

    def over_padded(self, x: Tensor, key_value: Tensor, visible: Tensor) -> Tensor:
        """The same over rows of tokens of one length: key_value [n, L, 2 * width], visible bool [n, N or 1, L]."""
        k, v = key_value.chunk(2, dim=2)
        q, k, v = (part.unflatten(2, (self.heads, -1)) for part in (self.query(x), k, v))
        return self.out(padded_attention(q, k, v, visible).flatten(2))
