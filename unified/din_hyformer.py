"""HyFormer with DIN's attention inside, as many of the best entries of KDD Cup 2026 put one into it.

All is that of `hyformer`, but DIN's weighted sum of the past stands beside the example's fields, so that tokens of fields are cut
out of it and queries are made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..baselines._layers import UNIT_SPACE
from ..bench.contract import DataSpec, ModelInfo, Ranker
from . import hyformer
from ._inputs import AttentiveConfig, Interest
from .hyformer import DIFFERS, HYFORMER_SPACE, HyFormer


@dataclass(frozen=True)
class Config(AttentiveConfig, hyformer.Config):
    """Hyper-parameters of HyFormer and of DIN's attention."""


def build(config: Config, spec: DataSpec) -> Ranker:
    """HyFormer over the example's fields, DIN's interest, and past events."""
    return HyFormer(config, spec, lambda inputs: Interest(config, inputs))


SEARCHED = ("expansion",)
"""Of HyFormer's own settings, those that are left out for DIN's."""

INFO = ModelInfo(
    name="din-hyformer",
    family="unified",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="HyFormer whose fields include DIN's weighted sum of past events",
    paper="Huang et al. 2026, arXiv:2601.12681; Zhou et al. 2018, arXiv:1706.06978; together: entries of TAAC x KDD Cup 2026",
    code="own",
    checked="as hyformer",
    differs=(
        "entries of the contest put DIN in at different places; here its sum stands behind the example's fields",
        "DIN as `din` here: what a past event carries, ReLU, weights without softmax",
        *DIFFERS,
    ),
    defaults="those of hyformer and of din's attention. No user id, as for both",
    space={
        **{name: searched for name, searched in HYFORMER_SPACE.items() if name not in SEARCHED},
        "attention_hidden": UNIT_SPACE,
    },
)
