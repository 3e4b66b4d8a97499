"""The frame of every generative ranker: tokens, blocks of a backbone, a head. A backbone's file holds its block and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, Ranker, SequenceBatch
from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import KVCache
from .attention import Geometry, make_geometry
from .config import SequenceConfig
from .heads import make_head
from .tokens import Tokens, make_tokens

Block = Callable[[Tensor, Geometry], Tensor]
"""x [T, width], geometry -> x [T, width]"""


class SequenceRanker(Ranker):
    """tokens -> dropout -> blocks -> head."""

    def __init__(self, config: SequenceConfig, spec: DataSpec, block: Callable[[SequenceConfig, DataSpec], nn.Module]) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.tokens = make_tokens(config, spec)
        self.positions = None
        if config.absolute_position:
            self.positions = nn.Embedding(config.tokens_per_event * spec.longest_segment, config.width)
            # HSTU's code starts them with about the spread of the tokens.
            nn.init.normal_(self.positions.weight, std=config.width**-0.5 if config.token_start == "scaled" else 0.02)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(config, spec) for _ in range(config.layers))
        self.head = make_head(config, spec)

    def forward(self, batch: SequenceBatch) -> Tensor:
        tokens = self.tokens(batch)
        return self.score(tokens, make_geometry(self.config, self.spec, tokens))

    def remember(self, past: SequenceBatch) -> KVCache:
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
            x = x + self.positions(tokens.position)
        x = self.dropout(x)
        for index, block in enumerate(self.blocks):
            x = block(x, geometry.of_layer(index, cache))
        return self.head(x, tokens, geometry.of_layer(len(self.blocks), cache))
