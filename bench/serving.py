"""Scores for serving: a trained model, a user, a moment, and candidates, all with ids as they stand in the source data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import device as devices
from . import registry, rows
from .config import TrainConfig
from .contract import ModelInfo, Ranker, to_device
from .data.dataset import RankingData
from .data.requests import Request, candidate_batch, code_of, past_batch, request_at, request_batch
from .data.sources.schema import DataRoots
from .errors import UserError
from .records import weights
from .typed import from_dict

CHUNK = 1024
"""Candidates in one pass, at most."""

_REMEMBERED = 1024
"""Pasts that are kept, at most."""


@dataclass(frozen=True)
class Scores:
    """K candidates of one request, in the order in which they were given."""

    items: tuple[str, ...]
    labels: tuple[str, ...]
    """Names: `label`, then further ones if the model predicts them."""
    probability: np.ndarray
    """float64 [K, labels]"""
    known: np.ndarray
    """bool [K]: the item has events in the data set."""
    request: Request


@dataclass
class Scorer:
    """A trained model and the event log with its users' histories.

    A sequence ranker computes a user's past once and keeps it; further requests of the user cost their candidates alone,
    until a new event would change what is seen.
    """

    model: Ranker
    info: ModelInfo
    data: RankingData
    logit_correction: float
    device: torch.device
    precision: str = "fp32"
    memories: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    """(user, start, hi) -> what the model remembers of these events."""

    @classmethod
    def load(cls, path: Path, roots: DataRoots, device: torch.device, dataset: str | None = None) -> Scorer:
        """The model of a weights file.

        Args:
            dataset: the YAML file of one's own table; the header knows its name alone.

        Raises:
            UserError: the file, its data set or its split are not what they were.
        """
        state, header = weights.read(path)
        experiment, where = header.experiment, f"the header of {path}"
        data = rows.data_of(experiment["data"], roots, where, dataset)
        for what, theirs, ours in (
            ("content", header.content_hash, data.log.meta.content_hash),
            ("split", header.split_hash, data.split.hash),
            ("semantic ids", header.codes_hash, "" if data.vocabulary.codes is None else data.vocabulary.codes.hash),
        ):
            if theirs != ours:
                raise UserError(
                    f"weights {path} belong to {what} {theirs[:12]} of {header.dataset}, but the data here give {ours[:12]}: "
                    "ids would mean other things; use the same files or train again"
                )
        info = registry.info(experiment["model"])
        model = info.build(from_dict(info.config, experiment["params"], where), data.spec).to(device)
        weights.restore(model, state, path, device)
        train = from_dict(TrainConfig, experiment["train"], where)
        return cls(model.eval(), info, data, header.logit_correction, device, train.precision)

    def score(self, user: str, items: Sequence[str], time: int | None = None, context: Mapping[str, str] | None = None) -> Scores:
        """Probabilities of candidates for a user at a time (ms since 1970; None: just after the user's last event).

        Unknown items and users are scored as such; see `data.requests.request_at` for context.
        """
        request = request_at(self.data, user, time, context or {})
        codes = code_of(self.data.log.dictionary("item"), items)
        logits = self.logits(request, codes)
        names = ("label", *self.data.config.labels)[: logits.shape[1]]
        return Scores(tuple(items), names, 1 / (1 + np.exp(-logits)), codes >= 0, request)

    def logits(self, request: Request, codes: np.ndarray, remember: bool = True) -> np.ndarray:
        """float64 [K, labels] of K >= 1 item codes; `remember=False` computes the past along with the candidates."""
        with torch.inference_mode():
            memory = self._memory(request) if remember else None
            parts = [self._pass(request, memory, codes[at : at + CHUNK]) for at in range(0, len(codes), CHUNK)]
        logits = np.concatenate([part.float().cpu().numpy().astype(np.float64).reshape(len(part), -1) for part in parts])
        logits[:, 0] += self.logit_correction
        return logits

    def _pass(self, request: Request, memory: Any, codes: np.ndarray) -> Tensor:
        with devices.autocast(self.device, self.precision):
            if memory is None:
                return self.model(to_device(request_batch(self.data, self.info.view, request, codes), self.device))
            batch = to_device(candidate_batch(self.data, request, codes), self.device)
            return self.model.forward_after(memory, request.lo - request.start, batch)

    def _memory(self, request: Request) -> Any:
        if self.info.view != "sequence" or request.hi == request.start:
            return None
        key = (request.user, request.start, request.hi)
        if key not in self.memories:
            with devices.autocast(self.device, self.precision):
                self.memories[key] = self.model.remember(to_device(past_batch(self.data, request), self.device))
            if len(self.memories) > _REMEMBERED:
                del self.memories[next(iter(self.memories))]
        return self.memories[key]
