"""The table of models. A name points to a module and its card; nothing is imported before it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import UserError, unknown_name

if TYPE_CHECKING:
    from .contract import ModelInfo


@dataclass(frozen=True)
class Entry:
    """What `rankbench ls models` shows without importing torch; a test holds it against the model's own card."""

    card: str
    """`module:NAME` below the package."""
    family: str
    summary: str
    core: bool = False
    """Part of what `rankbench run` trains if nothing is said: minutes on two cores."""


MODELS: dict[str, Entry] = {
    "random": Entry("baselines.floors:RANDOM", "floor", "a hash of the example: knows nothing", core=True),
    "popularity": Entry("baselines.floors:POPULARITY", "floor", "how often the item was liked in training", core=True),
    "own-rate": Entry("baselines.floors:OWN_RATE", "floor", "smoothed share of positives in the user's visible past", core=True),
    "ctr": Entry(
        "baselines.floors:CTR", "floor", "smoothed click rates of user, item and logged context, added as logits", core=True
    ),
    "lr": Entry("baselines.lr:INFO", "floor", "logistic regression over the example's fields, without history", core=True),
    "gbdt": Entry("baselines.gbdt:INFO", "classical", "boosted trees over click rates, counts and recency"),
    "fm": Entry("baselines.fm:INFO", "classical", "factorisation machine over fields and pooled past, without a network"),
    "dnn": Entry("baselines.dnn:INFO", "classical", "mean-pooled history and all fields through an MLP", core=True),
    "deepfm": Entry(
        "baselines.deepfm:INFO", "classical", "factorisation machine and MLP over mean-pooled history and all fields", core=True
    ),
    "dcnv2": Entry(
        "baselines.dcnv2:INFO", "classical", "cross layers and MLP over mean-pooled history and all fields", core=True
    ),
    "gdcn": Entry("baselines.gdcn:INFO", "classical", "gated cross layers and MLP over mean-pooled history and all fields"),
    "widedeep": Entry("baselines.widedeep:INFO", "classical", "linear model of the fields; MLP over fields and pooled past"),
    "xdeepfm": Entry("baselines.xdeepfm:INFO", "classical", "compressed interaction network and MLP over fields and pooled past"),
    "autoint": Entry("baselines.autoint:INFO", "classical", "self-attention among fields and pooled past, and an MLP"),
    "finalmlp": Entry(
        "baselines.finalmlp:INFO",
        "classical",
        "two MLPs over gated fields and pooled past, and a bilinear product of their outputs",
    ),
    "wukong": Entry(
        "baselines.wukong:INFO", "classical", "stacked factorisation machines over fields and pooled past as vectors, and MLP"
    ),
    "fibinet": Entry("baselines.fibinet:INFO", "classical", "SENET weights and bilinear pairs of fields and pooled past; MLP"),
    "din": Entry(
        "baselines.din:INFO",
        "classical",
        "attention of the candidate over each past event, without softmax, and an MLP",
        core=True,
    ),
    "dien": Entry("baselines.dien:INFO", "classical", "two GRUs, the second gated by the candidate's attention, and an MLP"),
    "bst": Entry("baselines.bst:INFO", "classical", "transformer block over candidate and past events, and an MLP"),
    "sim": Entry("baselines.sim:INFO", "classical", "attention over past events of the candidate's category and latest ones"),
    "mmoe": Entry(
        "baselines.mmoe:INFO", "classical", "DIN's attention, then shared experts with a gate and a tower for each label"
    ),
    "rankmixer": Entry(
        "unified.rankmixer:INFO",
        "unified",
        "tokens of all fields and pooled past, mixed by a transposition, a network of its own for each token",
    ),
    "din-rankmixer": Entry(
        "unified.din_rankmixer:INFO", "unified", "RankMixer over all fields and DIN's weighted sum of past events"
    ),
    "longer": Entry(
        "unified.longer:INFO",
        "unified",
        "neighbouring past events merged to tokens; the latest of them and global tokens read all, then each other",
    ),
    "onetrans": Entry(
        "unified.onetrans:INFO",
        "unified",
        "one causal Transformer over past events, which share weights, and tokens of fields, which have their own",
    ),
    "hyformer": Entry(
        "unified.hyformer:INFO",
        "unified",
        "queries made of all fields attend to past events, then mix with the fields as in RankMixer, layer by layer",
    ),
    "din-hyformer": Entry(
        "unified.din_hyformer:INFO", "unified", "HyFormer whose fields include DIN's weighted sum of past events"
    ),
    "interformer": Entry(
        "unified.interformer:INFO",
        "unified",
        "interactions of fields and attention among past events, which exchange gated summaries layer by layer",
    ),
    "sasrec": Entry(
        "generative.sasrec:INFO",
        "generative",
        "SASRec blocks as published (normalised skip, absolute positions) over interleaved tokens, MLP head",
        core=True,
    ),
    "sasrec-scalable": Entry(
        "generative.sasrec_scalable:INFO",
        "generative",
        "SASRec with a clean residual stream and HSTU's relative bias over interleaved tokens, MLP head",
    ),
    "gpt": Entry(
        "generative.gpt:INFO",
        "generative",
        "GPT-2 blocks (LayerNorm, GELU, learned positions) with HSTU's time bias over interleaved tokens, MLP head",
    ),
    "llama": Entry(
        "generative.llama:INFO",
        "generative",
        "Llama blocks (RMSNorm, RoPE, SwiGLU) with HSTU's time bias over interleaved tokens, MLP head",
        core=True,
    ),
    "hstu": Entry(
        "generative.hstu:INFO",
        "generative",
        "HSTU (gated SiLU attention, relative position and time bias) over interleaved tokens, MLP head",
        core=True,
    ),
    "stu": Entry(
        "generative.stu:INFO",
        "generative",
        "the layer of HSTU's released ranking code (no relative bias), masked-action candidates, MLP head",
    ),
    "fuxi": Entry(
        "generative.fuxi:INFO",
        "generative",
        "FuXi-alpha (semantic, position and time channels, SwiGLU) over interleaved tokens, MLP head",
    ),
    "genrank": Entry(
        "generative.genrank:INFO", "generative", "GenRank (item-and-action tokens, masked-action candidates, ALiBi), MLP head"
    ),
    "mtgr": Entry(
        "generative.mtgr:INFO",
        "generative",
        "HSTU layers with group layer norm, item-and-action tokens, candidates that keep cross features, MLP head",
    ),
}


def info(name: str) -> ModelInfo:
    """The card of a model.

    Raises:
        UserError: no such model (the nearest name is given), or a package that it needs is not installed.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    module, _, attribute = MODELS[name].card.partition(":")
    package = __package__.rpartition(".")[0] if __package__ else "rankbench"
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), attribute)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith(package):
            raise
        raise UserError(f"model {name} needs the package {error.name}: pip install {error.name}") from None


def select(text: str) -> tuple[str, ...]:
    """Names of `--models`: `core`, `all`, a family, or names, separated by commas; in the order of the table, each once."""
    families = {entry.family for entry in MODELS.values()}
    chosen: set[str] = set()
    for word in (part.strip() for part in text.split(",")):
        if word == "all":
            chosen |= set(MODELS)
        elif word == "core":
            chosen |= {name for name, entry in MODELS.items() if entry.core}
        elif word in families:
            chosen |= {name for name, entry in MODELS.items() if entry.family == word}
        elif word in MODELS:
            chosen.add(word)
        else:
            raise unknown_name("model", word, (*MODELS, *families, "all"))
    return tuple(name for name in MODELS if name in chosen)
