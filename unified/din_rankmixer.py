"""RankMixer over DIN's attention: the base of comparison of OneTrans (arXiv:2510.26104) and of many entries of KDD Cup 2026.

All is that of `rankmixer` but the past, of which DIN's activation unit makes a weighted sum for the candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..baselines._layers import UNIT_SPACE
from ..bench.contract import Choice, DataSpec, ModelInfo, Ranker
from . import rankmixer
from ._inputs import AttendedRow, AttentiveConfig
from .rankmixer import DIFFERS, MIXER_SPACE, RankMixer


@dataclass(frozen=True)
class Config(AttentiveConfig, rankmixer.Config):
    """Hyper-parameters of RankMixer and of DIN's attention."""


def build(config: Config, spec: DataSpec) -> Ranker:
    """RankMixer over the example's fields and DIN's interest."""
    return RankMixer(config, spec, lambda: AttendedRow(config, spec))


INFO = ModelInfo(
    name="din-rankmixer",
    family="unified",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="RankMixer over all fields and DIN's weighted sum of past events",
    paper="Zhu et al. 2025, arXiv:2507.15551; Zhou et al. 2018, arXiv:1706.06978; together: arXiv:2510.26104, table 2",
    code="own",
    checked="as rankmixer",
    differs=(
        "DIN's sum stands behind the example's fields in the row that tokens are cut out of; arXiv:2510.26104 does not say how "
        "it enters",
        "DIN as `din` here: what a past event carries, ReLU, weights without softmax",
        *DIFFERS,
    ),
    defaults="those of rankmixer and of din's attention. No user id, as for both",
    space={
        **MIXER_SPACE,
        "block": Choice(("rankmixer", "large")),
        "attention_hidden": UNIT_SPACE,
        "attention_softmax": Choice((False, True)),
    },
)
