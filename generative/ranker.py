"""The frame of every generative ranker: tokens, blocks of a backbone, a head. A backbone's file holds its block and its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, Ranker, SequenceBatch
from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import KVCache
from ..kernels.linear import Linear
from .attention import Geometry, make_geometry
from .config import SequenceConfig
from .heads import make_head
from .request_tokens import LONGEST, make_tokens
from .tokens import Tokens

Block = Callable[[Tensor, Geometry], Tensor]
"""x [T, width], geometry -> x [T, width]"""


class SequenceRanker(Ranker):
    """tokens -> positions and times -> dropout -> blocks -> time of the request -> head."""

    def __init__(self, config: SequenceConfig, spec: DataSpec, block: Callable[[SequenceConfig, DataSpec], nn.Module]) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.tokens = make_tokens(config, spec)
        self.positions = None
        if config.absolute_position:
            self.positions = nn.Embedding(self.tokens.places, config.width)
            # HSTU's code starts them with about the spread of the tokens.
            nn.init.normal_(self.positions.weight, std=config.width**-0.5 if config.token_start == "scaled" else 0.02)
        self.times = None
        if config.time_embedding != "none" and spec.time != "none":
            self.times = nn.Embedding(LONGEST + 1, config.width)
            nn.init.normal_(self.times.weight, std=0.02)
        self.dropout = Dropout(config.dropout if config.input_dropout is None else config.input_dropout)
        self.blocks = nn.ModuleList(block(config, spec) for _ in range(config.layers))
        self.clock = None
        if self.tokens.clock_names:
            self.clock = Linear(config.width + 2 * len(self.tokens.clock_names), config.width)
            nn.init.xavier_uniform_(self.clock.weight)
            nn.init.zeros_(self.clock.bias)
        self.head = make_head(config, spec)

    def forward(self, batch: SequenceBatch) -> Tensor:
        tokens = self.tokens(batch)
        return self.score(tokens, make_geometry(self.config, self.spec, tokens))

    def remember(self, past: SequenceBatch) -> KVCache | None:
        if self.config.layout == "request":  # its tokens know the request
            return None
        tokens = self.tokens(past)
        geometry = make_geometry(self.config, self.spec, tokens)
        cache = KVCache.empty(geometry.plan, len(self.blocks) + 1)  # the head may attend as well
        self.score(tokens, geometry, cache)
        return cache

    def forward_after(self, memory: KVCache, seen_from: int, batch: SequenceBatch) -> Tensor:
        alone = self.tokens(batch)
        end = torch.full_like(alone.lo, len(memory))
        lo = torch.full_like(alone.lo, seen_from * self.config.tokens_per_event)
        tokens = replace(alone, lo=lo, hi=end, position=end)
        return self.score(tokens, make_geometry(self.config, self.spec, tokens, memory), memory)

    def score(self, tokens: Tokens, geometry: Geometry, cache: KVCache | None = None) -> Tensor:
        """Tokens as the blocks read them -> logits of the examples. An empty cache is filled, a full one is read."""
        x = tokens.x
        if self.positions is not None:
            x = x + self.positions(tokens.position if tokens.place is None else tokens.place)
        if self.times is not None:
            x = x + self.times(tokens.minutes)
        x = self.dropout(x)
        for index, block in enumerate(self.blocks):
            if not self.left_out():
                x = block(x, geometry.of_layer(index, cache))
        if self.clock is not None and tokens.clock is not None:
            asked = torch.cat([x.index_select(0, tokens.readout), tokens.clock.to(x.dtype)], dim=1)
            x = x.index_copy(0, tokens.readout, self.clock(asked).to(x.dtype))
        return self.head(x, tokens, geometry.of_layer(len(self.blocks), cache))

    def stack(self) -> Sequence[nn.Module]:
        return list(self.blocks)

    def moving_shape(self) -> str:
        if self.config.layout == "request":
            return "layout=request makes a segment of each request, however many there are"
        if self.config.stochastic_depth > 0:
            return "stochastic_depth leaves out other layers in each step"
        reasons = (getattr(block, "moving_shape", "") for block in self.blocks)
        return next((reason for reason in reasons if isinstance(reason, str) and reason), "")

    def left_out(self) -> bool:
        """Whether this step goes past the next layer, by stochastic depth; what is kept is not scaled."""
        rate = self.config.stochastic_depth
        return self.training and rate > 0 and float(torch.rand(())) < rate
