"""Trained weights as safetensors, with all that is needed to use them in the header: nothing in the file is ever executed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..config import Experiment
from ..data.dataset import RankingData
from ..errors import UserError
from ..identity import config_hash, data_hash
from ..typed import parse
from ..typed import read as from_text
from .schema import SCHEMA_VERSION

_KEY = "rankbench"


@dataclass(frozen=True)
class Header:
    """What the weights are of."""

    version: int
    experiment: dict[str, Any]
    """The resolved experiment: model, data, train, params."""
    seed: int
    dataset: str
    """The data set's own name."""
    content_hash: str
    split_hash: str
    """Ids are those of this split's vocabulary."""
    logit_correction: float
    """To be added to the main label's logits, see data/negatives.py."""
    codes_hash: str = ""
    """Of the items' semantic ids; empty where the model knows none."""

    @classmethod
    def of(cls, experiment: Experiment, seed: int, data: RankingData) -> Header:
        """The header of a model that was trained on `data`."""
        meta, correction = data.log.meta, data.logit_correction
        codes = data.vocabulary.codes
        return cls(
            SCHEMA_VERSION,
            experiment.as_dict(),
            seed,
            meta.name,
            meta.content_hash,
            data.split.hash,
            correction,
            "" if codes is None else codes.hash,
        )

    @property
    def cell(self) -> str:
        """Settings and data, seeds aside: as in the identity of the run, if no younger setting has come since."""
        return f"{config_hash(self.experiment)}-{data_hash(self.content_hash, self.split_hash)}"


def to_bytes(model: nn.Module, header: Header) -> bytes:
    """The file's content: every parameter and buffer of the state, and the header."""
    state = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    return save(state, {_KEY: json.dumps(dataclasses.asdict(header))})


def read(path: Path) -> tuple[dict[str, Tensor], Header]:
    """State and header.

    Raises:
        UserError: no such file, not one of these files, or one of another version.
    """
    if not path.is_file():
        raise UserError(f"weights {path} do not exist; rankbench run makes them")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"weights {path} cannot be read ({error}); delete the record beside them and run again") from None

    def broken(what: str) -> UserError:
        return UserError(f"weights {path}: their header {what}; run the cell again")

    if text is None:
        raise UserError(f"{path} holds no weights of a Rankbench run")
    raw = parse(text, broken)
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(f"weights {path} have version {version}, this program reads {SCHEMA_VERSION}; run the cell again")
    return state, from_text(Header, text, broken)


def restore(model: nn.Module, state: dict[str, Tensor], path: Path, device: torch.device) -> None:
    """Put the weights into a freshly built model.

    Raises:
        UserError: they are of another shape.
    """
    try:
        model.load_state_dict({name: value.to(device) for name, value in state.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"weights {path} do not fit the model that their header names ({reason}); run the cell again") from None
