"""GenRank (Xiaohongshu 2025, arXiv:2505.04180) as a ranker: one token an event, candidates with a masked action, ALiBi.

A block: pre-norm LayerNorm, softmax attention with a fixed slope a head, feed-forward with GELU; no learned relative bias.
The action joins the item's token instead of taking a token of its own, which halves the sequence; the paper reports most of
its speed-up over HSTU from that and from the fixed bias.

    x <- x + dropout(W_o softmax(q k^T / sqrt(d) - slope_h distance) v)
    x <- x + dropout(W_2 GELU(W_1 LN(x)))
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.contract import DataSpec, ModelInfo
from .config import FEED_FORWARD, GENERATIVE_SPACE, Layout, RelativeBiasKind
from .gpt import Config as GPTConfig
from .gpt import GPTBlock
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(GPTConfig):
    """GenRank's choices. The time since the latest event and the hour of the request are context fields of the data."""

    layout: Layout = "candidate"
    relative_bias: RelativeBiasKind = "none"
    alibi: bool = True


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """Pre-norm Transformer blocks with ALiBi over item-and-action tokens."""
    return SequenceRanker(config, spec, GPTBlock)


INFO = ModelInfo(
    name="genrank",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="GenRank (item-and-action tokens, masked-action candidates, ALiBi), MLP head",
    paper="arXiv:2505.04180",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "item, action and request fields are projected together instead of summed as five embeddings",
        "no request index: events of one request share a position instead",
        "candidates see no other candidate; one description of the paper lets them see earlier ones, which would make a score "
        "depend on the order of the slate",
    ),
    defaults="size as for every backbone here; the paper's are of industrial scale. No user id, as for all of them",
    space={**GENERATIVE_SPACE, "feed_forward": FEED_FORWARD},
)
