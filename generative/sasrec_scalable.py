"""SASRec made to scale: a clean residual stream and HSTU's relative bias, all else as published (arXiv:2412.00714, section 5).

The block is that of `sasrec`; what differs are two switches and the positions. The paper finds that SASRec stops improving with
depth because its skip connections carry the normalised input, and that these two changes mend it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.contract import Choice, DataSpec, ModelInfo
from .config import GENERATIVE_SPACE, RelativeBiasKind, Residual, SequenceConfig
from .ranker import SequenceRanker
from .sasrec import SASRecBlock


@dataclass(frozen=True)
class Config(SequenceConfig):
    """A clean residual and relative bias instead of learned positions."""

    residual: Residual = "clean"
    relative_bias: RelativeBiasKind = "both"


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """SASRec blocks in the common frame."""
    return SequenceRanker(config, spec, SASRecBlock)


INFO = ModelInfo(
    name="sasrec-scalable",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="SASRec with a clean residual stream and HSTU's relative bias over interleaved tokens, MLP head",
    paper="arXiv:2412.00714",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=("two heads instead of one, as the other backbones here", "what `sasrec` differs in"),
    defaults="as sasrec, with two heads; arXiv:2412.00714 gives no setting for small ranking data. No user id, as there",
    space={**GENERATIVE_SPACE, "relative_bias": Choice(("position", "time", "both"))},
)
