"""RankMixer (Zhu et al. 2025, arXiv:2507.15551): tokens of fields, mixed by a transposition, each with a network of its own.

All embeddings are laid end to end and cut into T pieces; each is projected to a token of D numbers by its own matrix. A block:

    S = LN(mix(X) + X)          mix: each token is cut into T heads, new token h is head h of all tokens; no parameters
    X <- LN(FFN_t(S_t) + S_t)   GELU, weights of each token's own

The mean of the tokens makes the logit. With experts, FFN_t becomes sum_j ReLU(h(S_t))_j e_tj(S_t).

`block=large` is TokenMixer-Large (Jiang et al. 2026, arXiv:2602.06563): a token of all embeddings stands in front, and a block is

    H = mix(X);  H <- H + SwiGLU_h(RMS(H))          W_down starts near zero
    X <- X + SwiGLU_t(RMS(mix(H)))                  mixed back, so that the skip connection meets its own token

every second block adds what the one two before gave, and its tokens predict the label too.

Neither reads single past events: the past joins the fields as means, in `din-rankmixer` as DIN's weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..baselines._inputs import EmbeddingConfig
from ..baselines._layers import output_layer
from ..bench.contract import (
    SHARED_SPACE,
    Choice,
    DataSpec,
    ModelInfo,
    NotNegative,
    PointwiseBatch,
    Positive,
    Ranker,
    Rate,
    SearchSpace,
    Size,
    Whole,
)
from ..kernels.layers.rms_norm import RMSNorm
from ._experts import PerTokenSwiGLU, ReluExperts
from ._inputs import FieldRow, FieldTokens, PooledRow
from ._per_token import PerTokenFeedForward, mix


@dataclass(frozen=True)
class MixerConfig(EmbeddingConfig):
    """Sizes of a stack of mixing blocks."""

    tokens: Size = 8
    """T, which divides the width."""
    width: Size = 64
    """D"""
    layers: Size = 2
    expansion: Positive = 2.0
    """Hidden numbers of a token's network over the width."""
    dropout: Rate = 0.2
    """Of these hidden numbers."""

    def __post_init__(self) -> None:
        if self.width % self.tokens:
            raise ValueError(f"width {self.width} cannot be cut into {self.tokens} heads, one a token")

    @property
    def token_hidden(self) -> int:
        """Of a token's network."""
        return round(self.width * self.expansion)


MIXER_SPACE: SearchSpace = {
    **SHARED_SPACE,
    "layers": Whole(1, 4),
    "width": Choice((32, 64, 128, 256)),
    "tokens": Choice((4, 8, 16)),
    "expansion": Choice((1.0, 2.0, 4.0)),
}
"""Depth and width of a stack of mixing blocks, and what two settings of its own may be."""


@dataclass(frozen=True)
class Config(MixerConfig):
    """Hyper-parameters of RankMixer."""

    block: Literal["rankmixer", "large"] = "rankmixer"
    """large: TokenMixer-Large."""
    experts: Size = 1
    """Of each token's network; 1: no mixture. With rankmixer each has `expansion` widths, with large they share them."""
    gate_penalty: NotNegative = 0.01
    """Of a mixture with block=rankmixer: weight in the loss of the gates' sum, which closes gates of the router for inference."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block == "large" and self.experts == 2:
            raise ValueError("block=large needs 3 experts at least: one that is always open, and two to choose from")
        if self.block == "large" and self.token_hidden % self.experts:
            raise ValueError(f"{self.token_hidden} hidden numbers cannot be shared out among {self.experts} experts")
        if (self.block == "large" or self.experts == 1) and self.gate_penalty != 0.01:
            raise ValueError("gate_penalty belongs to block=rankmixer with experts above 1")


INTERVAL = 2
"""Blocks of TokenMixer-Large between two of its long skip connections."""

AUXILIARY = 0.1
"""Weight of the loss of tokens at these connections."""


class RankMixerBlock(nn.Module):
    """Tokens [n, T, D] -> tokens [n, T, D], norms behind the skip connections."""

    def __init__(self, config: Config, tokens: int) -> None:
        super().__init__()
        sizes = (tokens, config.width, config.token_hidden)
        self.feed: nn.Module = PerTokenFeedForward(*sizes, config.dropout)
        if config.experts > 1:
            self.feed = ReluExperts(*sizes, config.experts, config.dropout)
        self.mixing_norm, self.feed_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixing_norm(mix(x) + x)
        return self.feed_norm(self.feed(x) + x)


class TokenMixerLargeBlock(nn.Module):
    """The same, norms in front, mixed back before the skip connection."""

    def __init__(self, config: Config, tokens: int) -> None:
        super().__init__()
        sizes = (tokens, config.width, config.token_hidden, config.experts)
        self.mixed_norm, self.own_norm = (RMSNorm(config.width) for _ in range(2))
        self.mixed_feed, self.own_feed = (PerTokenSwiGLU(*sizes, config.dropout) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        mixed = mix(x)
        mixed = mixed + self.mixed_feed(self.mixed_norm(mixed))
        return x + self.own_feed(self.own_norm(mix(mixed)))


class RankMixer(Ranker):
    """A row of numbers, tokens, mixing blocks, the tokens' mean, one logit."""

    def __init__(self, config: Config, spec: DataSpec, row: Callable[[], FieldRow]) -> None:
        super().__init__()
        self.large, self.penalty = config.block == "large", config.gate_penalty
        self.row = row()
        self.whole, pieces = None, config.tokens
        if self.large and config.tokens > 1:
            pieces = config.tokens - 1
            self.whole = FieldTokens(self.row.width, 1, config.width)
        self.tokens = FieldTokens(self.row.width, pieces, config.width)
        block = TokenMixerLargeBlock if self.large else RankMixerBlock
        self.blocks = nn.ModuleList(block(config, config.tokens) for _ in range(config.layers))
        self.norm = RMSNorm(config.width) if self.large else None
        self.out = output_layer(config.width, spec)
        self.early = nn.ModuleList(output_layer(config.width, spec) for _ in self.connections())
        self.early_loss: Tensor | None = None
        self.weight: Tensor | None = None

    def connections(self) -> range:
        """Blocks behind which TokenMixer-Large has a long skip connection: every second one, never the last."""
        return range(INTERVAL - 1, len(self.blocks) - 1, INTERVAL) if self.large else range(0)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        row = self.row(batch)
        x = self.tokens(row)
        if self.whole is not None:
            x = torch.cat([self.whole(row), x], dim=1)
        before, early, connections = x, [], self.connections()
        for at, block in enumerate(self.blocks):
            x = block(x)
            if at in connections:
                x = before = x + before
                early.append(self.early[len(early)](x.mean(1)))
        self.early_loss = self.loss_of(early, batch) if self.training and early else None
        self.weight = batch.weight
        if self.norm is not None:
            x = self.norm(x)
        return self.out(x.mean(1)).squeeze(1)

    def loss_of(self, early: list[Tensor], batch: PointwiseBatch) -> Tensor:
        """Mean logloss of all labels over the logits [n, labels] of inner blocks."""
        labels = batch.label.unsqueeze(1)
        if early[0].shape[1] > 1 and batch.further is not None:
            labels = torch.cat([labels, batch.further], dim=1)
        every = torch.stack(early).float()
        losses = F.binary_cross_entropy_with_logits(every, labels.expand_as(every), reduction="none").mean((0, 2))
        return mean_of_rows(losses, batch.weight)

    def auxiliary_loss(self) -> Tensor | None:
        """The gates' penalty or, of TokenMixer-Large, the loss of inner blocks."""
        loss, weight = self.early_loss, self.weight
        self.early_loss = self.weight = None
        if loss is not None:
            return AUXILIARY * loss
        taken = [module.take_gates() for module in self.modules() if isinstance(module, ReluExperts)]
        gates = [gate for gate in taken if gate is not None]
        return self.penalty * mean_of_rows(torch.stack(gates).mean(0), weight) if gates else None


def mean_of_rows(values: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of values [n], those of weight 0 left out."""
    return values.mean() if weight is None else (values * weight).sum() / weight.sum()


def build(config: Config, spec: DataSpec) -> Ranker:
    """RankMixer over the example's fields and means of its past."""
    return RankMixer(config, spec, lambda: PooledRow(config, spec))


DIFFERS = (
    "tokens are equal pieces of all embeddings in the order of the fields, not groups by meaning",
    "dropout on the hidden numbers of the tokens' networks",
    "with experts, training draws for each row whose gates it takes, those of the router for training or of that for inference; "
    "the paper says that both are trained, and not how the second hears of the task",
    "the weight of the gates' penalty is fixed, not adapted to a wanted share of open gates; a router has weights of each "
    "token's own; closed experts are multiplied by zero and save no arithmetic",
    "with `block=large`, the token of all embeddings is one linear map, as are the others; the mean of all normalised tokens "
    "makes the logit; one expert beside the shared one is open, with a gate times the number it was chosen from; the weight of "
    "inner losses is 0.1",
    "inner blocks of `block=large` learn by binary cross-entropy whatever `train.loss` is, so that a ranking loss does not leave "
    "the level of their logits free",
)

INFO = ModelInfo(
    name="rankmixer",
    family="unified",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="tokens of all fields and pooled past, mixed by a transposition, a network of its own for each token",
    paper="Zhu et al. 2025, arXiv:2507.15551; `block=large`: Jiang et al. 2026, arXiv:2602.06563",
    code="own",
    checked="its blocks, mixtures included, against the equations token by token, float64, outputs and gradients of inputs and "
    "parameters to 1e-9",
    differs=("the past joins as means over events of either label, of outcomes and of gaps", *DIFFERS),
    defaults="2 blocks as in the paper, whose smaller model has 16 tokens of width 768 on Douyin; 8 of 64 here. No user id, as "
    "for every ranker here that reads the past",
    space={**MIXER_SPACE, "block": Choice(("rankmixer", "large"))},
)
