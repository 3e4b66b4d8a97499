"""What every generative ranker can be told. A backbone's Config overrides the defaults and may add settings of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from ..bench.contract import SHARED_SPACE, Choice, IdentityConfig, Rate, Real, SearchSpace, Size

Layout = Literal["interleaved", "candidate", "late"]
ItemFields = Literal["none", "sum", "concat"]
UserFields = Literal["sum", "concat"]
RelativeBiasKind = Literal["none", "position", "time", "both"]
Attention = Literal["silu", "softmax"]
Residual = Literal["clean", "normalised"]
Divisor = Literal["max", "own"]
TokenStart = Literal["linear", "scaled"]
OwnTime = Literal["zero", "recency"]
HeadKind = Literal["mlp", "ffn", "dot", "hadamard-mlp", "concat-mlp", "bilinear", "target-attention", "mmoe"]

READS_CANDIDATE: tuple[HeadKind, ...] = ("dot", "hadamard-mlp", "concat-mlp", "bilinear", "target-attention")
"""Heads that are given the candidate's embedding beside the state."""


@dataclass(frozen=True)
class SequenceConfig(IdentityConfig):
    """Size, tokens, attention and head of a generative ranker."""

    idle: ClassVar[Mapping[str, str]] = {}
    """Settings that a backbone has no use for -> why; another value than the default is refused."""

    embedding_dim: Size = 16
    """Of every field's table; independent of the width."""
    width: Size = 64
    """D"""
    layers: Size = 2
    heads: Size = 2
    dropout: Rate = 0.2
    layout: Layout = "interleaved"
    """interleaved: item and action tokens in turn (Zhai et al. 2024). candidate: an event is one token, a candidate one with a
    masked action that nothing else sees (GenRank, MTGR). late: the state does not know the candidate, the head does."""
    actions: bool = True
    """What the user did at past events; without it the layout has one token an event that knows the item alone."""
    item_fields: ItemFields = "concat"
    """Side information of items: none, summed with the item's vector, or side by side and projected."""
    user_fields: UserFields = "concat"
    """The vectors of the users' side information, and of the id if it is embedded: side by side, or their sum."""
    user_context: bool = True
    """The user's side information and context fields join the token of the request at which they are known; the user's id is
    `user_id`'s business."""
    token_start: TokenStart = "linear"
    """How the layers that project fields to tokens start. linear: as torch starts any linear layer, with a bias larger than what
    fresh embeddings say. scaled: no bias, and as much spread as embeddings times sqrt(width), as in HSTU's and SASRec's code."""
    relative_bias: RelativeBiasKind = "none"
    """Learned bias of attention logits over relative position, time gaps, both or none; arXiv:2412.00714 credits it for most
    of HSTU's lead. Without time information in the data there is no time bias."""
    own_time: OwnTime = "zero"
    """The gap at which a bias over time gaps puts a token from itself. zero: none. recency: that to the latest event which it
    sees, as on the diagonal of HSTU's and FuXi's released code, where a row asks on behalf of the event after it."""
    rope: bool = False
    """Rotary positions (Su et al. 2021)."""
    alibi: bool = False
    """Logits fall linearly with distance, at a rate fixed for each head (Press et al. 2022); GenRank credits it."""
    absolute_position: bool = False
    """Learned position vectors, added to the tokens."""
    attention: Attention = "softmax"
    """SiLU weights over a divisor (HSTU), or softmax."""
    divisor: Divisor = "max"
    """Of SiLU weights: the largest possible number of visible tokens, or the number that a token sees."""
    gate: bool = False
    """Multiply what attention gives by SiLU(x W), as HSTU does."""
    residual: Residual = "clean"
    """Skip connections carry the input as it is, or normalised as in SASRec's published code."""
    head: HeadKind = "mlp"
    """What makes a logit of the state; some also read the candidate's own embedding."""
    head_hidden: Size = 64
    experts: Size = 8
    """Of head=mmoe; each is one layer of head_hidden units."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in self.idle and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} does nothing: {self.idle[field.name]}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads")
        if self.rope and (self.width // self.heads) % 2:
            raise ValueError(
                f"rope turns pairs of numbers, but a head has {self.width // self.heads}; choose another width or heads"
            )
        if self.divisor != "max" and self.attention == "softmax":
            raise ValueError("divisor belongs to attention=silu: a softmax has its own normaliser")
        if self.layout == "late" and self.head not in READS_CANDIDATE:
            raise ValueError(f"layout=late needs a head that reads the candidate ({', '.join(READS_CANDIDATE)}), not {self.head}")

    @property
    def tokens_per_event(self) -> int:
        """Largest number of visible tokens that one event gives."""
        return 2 if self.layout == "interleaved" and self.actions else 1


GENERATIVE_SPACE: SearchSpace = {
    **SHARED_SPACE,
    "layers": Choice((1, 2, 3, 4, 6, 8)),
    "width": Choice((32, 64, 128, 256)),
    "heads": Choice((1, 2, 4)),
    "layout": Choice(("interleaved", "candidate")),
    "token_start": Choice(("linear", "scaled")),
    "head_hidden": Choice((32, 64, 128, 256)),
}
"""Of every backbone; one may add a single setting of its own."""

FEED_FORWARD = Real(1.0, 4.0)
"""Hidden size of a feed-forward block over the width."""

DIVISOR = Choice(("max", "own"))
