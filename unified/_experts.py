"""Mixtures of experts in which every token has experts of its own. All experts are computed in one batched product; a closed gate
multiplies by zero, so that sparsity is one of values and saves no arithmetic here."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..kernels.dropout import Dropout
from ..kernels.elementwise import gelu, silu_gate
from ._per_token import PerTokenLinear


class ReluExperts(nn.Module):
    """sum_j G_tj e_tj(x_t) with G = ReLU(h(x_t)) (RankMixer, section 3.4): [n, tokens, width] -> the same.

    Two routers: h_train in training, h_infer for inference, whose gates alone are penalised (`gates`). Both learn from the task:
    in training each row takes its gates from one of the two, drawn anew.
    """

    def __init__(self, tokens: int, width: int, hidden: int, experts: int, dropout: float) -> None:
        super().__init__()
        self.experts = experts
        self.dense_router = PerTokenLinear(tokens, width, experts)
        self.sparse_router = PerTokenLinear(tokens, width, experts)
        self.up = PerTokenLinear(tokens, width, experts * hidden)
        self.down = PerTokenLinear(tokens, experts * hidden, width, bias=False)
        self.down_bias = PerTokenLinear(tokens, experts, width, bias=False)
        self.dropout = Dropout(dropout)
        self.gates: Tensor | None = None
        """[n]: sum over experts of h_infer's gates, the mean over a row's tokens, of the latest batch of training."""

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.sparse_router(x))
        if self.training:
            self.gates = gate.sum(2).mean(1)
            dense = torch.rand(len(x), 1, 1, device=x.device) < 0.5
            gate = torch.where(dense, F.relu(self.dense_router(x)), gate)
        hidden = self.dropout(gelu(self.up(x))).unflatten(2, (self.experts, -1))
        return self.down((hidden * gate.unsqueeze(3)).flatten(2)) + self.down_bias(gate)

    def take_gates(self) -> Tensor | None:
        """`gates`, given away: no graph is kept beyond its step."""
        gates, self.gates = self.gates, None
        return gates


class PerTokenSwiGLU(nn.Module):
    """W_down (SiLU(W_gate x) * W_up x) with weights of each token's own (TokenMixer-Large): [n, tokens, width] -> the same.

    With experts, hidden numbers are shared out among them: the first expert is always open, of the others the one with the
    largest logit of a softmax is, its gate times the number of experts that it was chosen from.
    """

    def __init__(self, tokens: int, width: int, hidden: int, experts: int, dropout: float) -> None:
        super().__init__()
        self.routed = experts - 1
        self.gate_up = PerTokenLinear(tokens, width, 2 * hidden)
        # So that a block begins near the identity.
        self.down = PerTokenLinear(tokens, hidden, width, std=0.01)
        self.router = PerTokenLinear(tokens, width, self.routed) if self.routed else None
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(silu_gate(self.gate_up(x)))
        if self.router is not None:
            hidden = (hidden.unflatten(2, (self.routed + 1, -1)) * self.open(x).unsqueeze(3)).flatten(2)
        return self.down(hidden)

    def open(self, x: Tensor) -> Tensor:
        """Weights of all experts, [n, tokens, experts]."""
        assert self.router is not None
        share = self.router(x).softmax(2)
        best = torch.zeros_like(share).scatter(2, share.argmax(2, keepdim=True), 1.0)
        return torch.cat([torch.ones_like(share[:, :, :1]), self.routed * share * best], dim=2)
