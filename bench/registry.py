"""The table of models. A name points to a module and its card; nothing is imported before it is used.

Models of one's own join it from outside: `register` takes a card, `load` a Python file that has one. The variable
RANKBENCH_MODELS names such files for every command, and for the processes that a command starts.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError, in_one_line, unknown_name

if TYPE_CHECKING:
    from .contract import ModelInfo


@dataclass(frozen=True)
class Entry:
    """What `rankbench ls models` shows without importing torch; a test holds it against the model's own card."""

    card: str | ModelInfo
    """`module:NAME` below the package; of a model that was registered from outside the card itself."""
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
    "transact": Entry(
        "baselines.transact:INFO",
        "classical",
        "transformer encoder over past events that know the candidate, then cross layers and an MLP",
    ),
    "sim": Entry("baselines.sim:INFO", "classical", "attention over past events of the candidate's category and latest ones"),
    "sdim": Entry(
        "baselines.sdim:INFO",
        "classical",
        "sums of past events whose random hashes are the candidate's, and attention over latest ones",
    ),
    "twin": Entry(
        "baselines.twin:INFO",
        "classical",
        "past events searched by the weight that then attends to them, and attention over latest ones",
    ),
    "mmoe": Entry(
        "baselines.mmoe:INFO", "classical", "DIN's attention, then shared experts with a gate and a tower for each label"
    ),
    "ple": Entry(
        "baselines.ple:INFO",
        "classical",
        "DIN's attention, then levels of experts that a domain has for itself and experts that all share",
    ),
    "star": Entry(
        "baselines.star:INFO",
        "classical",
        "DIN's attention, then a network whose weights are those of all domains times those of the example's own",
    ),
    "pepnet": Entry(
        "baselines.pepnet:INFO",
        "classical",
        "DIN's attention, then gates made of domain, user and item that scale the inputs and every layer of a label's tower",
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
    "dlrm-v3": Entry(
        "generative.dlrm_v3:INFO",
        "generative",
        "HSTU's released ranking model: user fields as tokens, action bits, time to the request, two towers, STU layers",
    ),
    "fuxi": Entry(
        "generative.fuxi:INFO",
        "generative",
        "FuXi-alpha (semantic, position and time channels, SwiGLU) over interleaved tokens, MLP head",
    ),
    "fuxi-beta": Entry(
        "generative.fuxi_beta:INFO",
        "generative",
        "FuXi-beta (tokens mix by place and a function of time alone, no queries and keys) over interleaved tokens, MLP head",
    ),
    "fuxi-linear": Entry(
        "generative.fuxi_linear:INFO",
        "generative",
        "FuXi-Linear (linear attentions by content, waves of time and position, SwiGLU) over interleaved tokens, MLP head",
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
    card = MODELS[name].card
    if not isinstance(card, str):
        return card
    module, _, attribute = card.partition(":")
    package = __package__.rpartition(".")[0] if __package__ else "rankbench"
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), attribute)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith(package):
            raise
        raise UserError(f"model {name} needs the package {error.name}: pip install {error.name}") from None


OWN_MODELS = "RANKBENCH_MODELS"
"""Environment variable: Python files of models of one's own, separated as in PATH."""

_RESERVED = ("all", "core", "data", "train", *sorted({entry.family for entry in MODELS.values()}))
"""What else stands where a model's name may stand: in `--models` and among the sections of settings."""


def register(card: ModelInfo) -> None:
    """Make a model of one's own known in this process, under the name of its card: it is run, searched and compared as all are.

    A second card of the same name takes the place of the first, as when a cell of a notebook is run again.

    Raises:
        UserError: the name is that of a model of the package, or cannot be one.
    """
    if not re.fullmatch("[a-z][a-z0-9-]*", card.name) or card.name in _RESERVED:
        raise UserError(
            f"a model cannot be called {card.name!r}: take small letters, digits and hyphens, and none of {_RESERVED}"
        )
    if card.name in MODELS and isinstance(MODELS[card.name].card, str):
        raise UserError(f"there is a model {card.name!r} in the package; call your own otherwise")
    MODELS[card.name] = Entry(card, card.family, card.summary)


def load(path: Path) -> str:
    """Register `INFO` of a Python file, here and in every process that is started from here.

    Returns:
        The name of the model.

    Raises:
        UserError: the file is missing, fails, or has no card called INFO; or as `register`.
    """
    path = path.absolute()
    spec = importlib.util.spec_from_file_location(f"own_model_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UserError(f"there is no Python file {path}; a model of your own is one with INFO = ModelInfo(...)")
    # Before it runs: dataclasses look their module up.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path} cannot be imported: {in_one_line(error)}") from error
    from .contract import ModelInfo

    card = getattr(module, "INFO", None)
    if not isinstance(card, ModelInfo):
        raise UserError(f"{path} has no INFO = ModelInfo(...), the card of its model")
    register(card)
    # Processes that are started from here, for several runs at a time, know what their environment names.
    known = own_files()
    os.environ[OWN_MODELS] = os.pathsep.join([*known, str(path)] if str(path) not in known else known)
    return card.name


def load_own() -> None:
    """Register what RANKBENCH_MODELS names; called where a command or a process of it begins."""
    for path in own_files():
        load(Path(path))


def own_files() -> tuple[str, ...]:
    """What RANKBENCH_MODELS names."""
    return tuple(path for path in os.environ.get(OWN_MODELS, "").split(os.pathsep) if path)


def select(text: str) -> tuple[str, ...]:
    """Names of `--models`: `core`, `all`, a family, names, or files of models of one's own, separated by commas.

    Returns:
        In the order of the table, each once.
    """
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
        elif word.endswith(".py"):
            chosen.add(load(Path(word)))
        else:
            raise unknown_name("model", word, (*MODELS, *families, "all"))
    return tuple(name for name in MODELS if name in chosen)
