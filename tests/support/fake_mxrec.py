"""What RecSDK's operators compute, in torch: silu(q k^T + bias) * scale * mask, times v, over [B, S, H, D]; and its gradients.

Argument names differ as they do between versions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_KEPT: list[torch.library.Library] = []


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, scale: float) -> Tensor:
    logits = torch.einsum("bnhd,bmhd->bhnm", q, k)
    weight = F.silu(logits if bias is None else logits + bias) * scale
    return torch.einsum("bhnm,bmhd->bnhd", weight if mask is None else weight * mask, v)


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    attn_bias: Tensor | None = None,
    mask_type: int = 0,
    max_seq_len: int = 0,
    silu_scale: float = 0.0,
) -> Tensor:
    assert mask_type == 3 and max_seq_len == q.shape[1] and q.shape[3] % 16 == 0
    return _dense(q, k, v, mask, attn_bias, silu_scale)


def _backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    attnBias: Tensor | None,
    layout: str,
    maskType: int,
    maxSeqLen: int,
    siluScale: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert layout == "normal" and maskType == 3
    with torch.enable_grad():
        leaves = [one.detach().requires_grad_() for one in (q, k, v)]
        bias = (torch.zeros(len(q), q.shape[2], maxSeqLen, maxSeqLen) if attnBias is None else attnBias.detach()).to(q.dtype)
        out = _dense(*leaves, mask, bias.requires_grad_(), siluScale)
    return torch.autograd.grad(out, [*leaves, bias], grad)  # type: ignore[return-value]


def install(wrong: bool = False) -> None:
    """Define torch.ops.mxrec, once a process; `wrong`: an operator that overlooks the bias."""
    library = torch.library.Library("mxrec", "DEF")
    settings = "int mask_type=0, int max_seq_len=0, float silu_scale=0.0"
    library.define(f"hstu_dense(Tensor q, Tensor k, Tensor v, Tensor? mask=None, Tensor? attn_bias=None, {settings}) -> Tensor")
    library.define(
        "hstu_dense_backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor? mask, Tensor? attnBias, str layout, "
        "int maskType, int maxSeqLen, float siluScale=0.0) -> (Tensor, Tensor, Tensor, Tensor)"
    )
    library.impl("hstu_dense", (lambda *args: _forward(*args[:4], None, *args[5:])) if wrong else _forward, "CPU")
    library.impl("hstu_dense_backward", _backward, "CPU")
    _KEPT.append(library)


def remove() -> None:
    _KEPT.clear()
