"""What every generative ranker can be told. A backbone's Config overrides the defaults and may add settings of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from ..bench.contract import SHARED_SPACE, Choice, Count, DataSpec, Field, IdentityConfig, Rate, Real, SearchSpace, Size

Layout = Literal["interleaved", "candidate", "late", "request"]
ActionEncoding = Literal["combination", "bits"]
TokenNetwork = Literal["linear", "mlp"]
TimeEmbedding = Literal["none", "sqrt-minutes"]
Clock = Literal["tokens", "state"]
ItemFields = Literal["none", "sum", "concat"]
UserFields = Literal["sum", "concat"]
RelativeBiasKind = Literal["none", "position", "time", "both"]
Attention = Literal["silu", "softmax"]
Residual = Literal["clean", "normalised"]
Divisor = Literal["max", "own"]
TokenStart = Literal["linear", "scaled"]
OwnTime = Literal["zero", "recency"]
HeadKind = Literal["mlp", "ffn", "dot", "hadamard-mlp", "concat-mlp", "bilinear", "target-attention", "mmoe", "towers"]

READS_CANDIDATE: tuple[HeadKind, ...] = ("dot", "hadamard-mlp", "concat-mlp", "bilinear", "target-attention", "towers")
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
    input_dropout: Rate | None = None
    """Of tokens before the first layer; null: that of dropout."""
    stochastic_depth: Rate = 0.0
    """Share of the training steps in which a layer is left out, each layer for itself (Huang et al. 2016, arXiv:1603.09382)."""
    layout: Layout = "interleaved"
    """interleaved: item and action tokens in turn (Zhai et al. 2024). candidate: an event is one token, a candidate one with a
    masked action that nothing else sees (GenRank, MTGR). late: the state does not know the candidate, the head does. request: as
    candidate, but each request has a segment of its own, which begins with a token for each field of the user, and in which
    positions count back from the end (HSTU's released ranking code); about history_length times the work, unless the requests of
    a segment share their past."""
    context_min_events: Count = 0
    """Of layout=request: tokens of the user's fields hold nothing where a request sees fewer events."""
    actions: bool = True
    """What the user did at past events; without it the layout has one token an event that knows the item alone."""
    action_encoding: ActionEncoding = "combination"
    """combination: a vector for each combination of what a user can do. bits: eight numbers for each thing that a user can do,
    zeros where it was not done, side by side with those of the others."""
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
    token_network: TokenNetwork = "linear"
    """What makes a token of the fields that it holds. linear: one linear layer for all of them. mlp: a layer of head_hidden units
    between two norms; in one-token layouts one for what was shown and one for what was done, added up."""
    clock: Clock = "tokens"
    """Where hour and weekday of a request are told. tokens: embedded fields of every token. state: as sine and cosine, joined to
    the state of the example behind the last layer."""
    time_embedding: TimeEmbedding = "none"
    """Of layout=request: a vector added to each token for the time between it and the request, by the square root of minutes."""
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
    """Units of the head's hidden layers, and of those of token_network=mlp."""
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
        if self.layout != "request":
            for name in ("context_min_events", "time_embedding"):
                if getattr(self, name) not in (0, "none"):
                    raise ValueError(f"{name} needs layout=request, where a segment knows which request it is for")
        elif self.user_fields == "sum":
            raise ValueError("user_fields=sum does nothing: with layout=request each field of the user is a token of its own")
        if self.action_encoding == "bits" and not self.actions:
            raise ValueError("action_encoding does nothing: actions=false leaves actions out")
        if self.layout == "late" and self.head not in READS_CANDIDATE:
            raise ValueError(f"layout=late needs a head that reads the candidate ({', '.join(READS_CANDIDATE)}), not {self.head}")

    @property
    def tokens_per_event(self) -> int:
        """Largest number of visible tokens that one event gives."""
        return 2 if self.layout == "interleaved" and self.actions else 1

    def users(self, spec: DataSpec) -> tuple[Field, ...]:
        """The fields of the user that are read."""
        return tuple(field for field in spec.user_fields(self.user_id) if self.user_context or field.name == "user")

    def most_visible(self, spec: DataSpec) -> int:
        """Largest number of tokens that one sees, itself aside."""
        return self.tokens_per_event * spec.history_length + (len(self.users(spec)) if self.layout == "request" else 0)


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
