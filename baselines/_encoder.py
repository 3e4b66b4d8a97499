"""The transformer encoder's layer as first published (Vaswani et al. 2017), for rankers whose events attend to each other."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import AttentionPlan, hstu_attention
from ..kernels.linear import Linear


class EncoderBlock(nn.Module):
    """S' = LayerNorm(S + Dropout(MultiHead(S))), then LayerNorm(S' + Dropout(FFN(S'))), over packed tokens [T, width]."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.heads, self.activation = heads, activation
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        # As torch starts its own attention.
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)
        self.inner, self.outer = Linear(width, inner), Linear(inner, width)
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, plan: AttentionPlan) -> Tensor:
        q, k, v = (part.unflatten(1, (self.heads, -1)) for part in self.qkv(x).chunk(3, dim=1))
        attended = hstu_attention(q, k, v, plan, alpha=q.shape[2] ** -0.5, activation="softmax").flatten(1)
        x = self.attention_norm(x + self.dropout(self.out(attended)))
        return self.feed_norm(x + self.dropout(self.outer(self.dropout(self.activation(self.inner(x))))))
