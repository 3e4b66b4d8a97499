"""Row-wise Adagrad: one step size for each row of an embedding table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class RowWiseAdagrad(torch.optim.Optimizer):
    """Adagrad (Duchi et al. 2011, JMLR 12) that keeps the mean of squared gradients of a row instead of each number's square:

        h_r <- h_r + mean(g_r^2);  w_r <- w_r - lr g_r / (sqrt(h_r) + eps)

    as FBGEMM's EXACT_ROWWISE_ADAGRAD, which HSTU's released ranking code trains its tables with. A row that no batch reads stays
    where it is, and one number a row is kept instead of two for each weight. Decay is decoupled, as AdamW's, of all rows.
    """

    def __init__(self, tables: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0, eps: float = 1e-8) -> None:
        """
        Args:
            tables: [rows, size] each.
        """
        super().__init__(tables, {"lr": lr, "weight_decay": weight_decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Tensor | None:  # type: ignore[override]
        """Move every table that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            lr, eps = group["lr"], group["eps"]
            for table in group["params"]:
                if table.grad is None:
                    continue
                state = self.state[table]
                if not state:
                    state["sum"] = table.new_zeros(len(table), 1)
                table.mul_(1 - lr * group["weight_decay"])
                state["sum"].add_(table.grad.square().mean(1, keepdim=True))
                table.addcdiv_(table.grad, state["sum"].sqrt().add_(eps), value=-lr)
        return loss
