"""Scores for serving: a trained model, a user, a moment, and candidates, all with ids as they stand in the source data."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
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
from .data.requests import Request, candidate_batch, past_batch, request_after, request_at, request_batch
from .data.source_names import SourceNames
from .data.sources.schema import DataRoots
from .data.told import PastEvent, told
from .errors import UserError
from .records import weights
from .typed import from_dict

CHUNK = 1024
"""Candidates in one pass, at most."""

REMEMBERED = 1024
"""Pasts that are kept, at most, unless a scorer is told otherwise."""


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
    remembered: int = REMEMBERED
    """Pasts that are kept, at most; those that were asked for longest ago go first."""
    memories: dict[tuple[Hashable, int, int], Any] = field(default_factory=dict)
    """(user, or the past that a request told; start; hi) -> what the model remembers of these events."""
    names: SourceNames = field(init=False)

    def __post_init__(self) -> None:
        self.names = SourceNames(self.data)

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

    def score(
        self,
        user: str,
        items: Sequence[str],
        time: int | None = None,
        context: Mapping[str, str] | None = None,
        history: Sequence[PastEvent] | None = None,
        remember: bool = True,
    ) -> Scores:
        """Probabilities of candidates for a user at a time (ms since 1970; None: just after the user's last event).

        Unknown items and users are scored as such; see `data.requests.request_at` for context.

        Args:
            history: all that the user did, in place of what the log knows of the user.
            remember: keep what can be computed of the past, see `logits`.
        """
        told_by: Hashable = None
        if history is None:
            data, request = self.data, request_at(self.data, user, time, context or {}, self.names)
        else:
            if time is None and not history:
                raise UserError(f"user {user!r} is told to have no history: say when the request is")
            data = told(self.names, history) if history else self.data
            code = int(self.names.codes("user", [user])[0])
            request = request_after(data, self.names, code, (0, len(history)), time, context or {})
            # Who asks is an input of some models: one past of two users is two.
            told_by = (code, _digest(history))
        codes = self.names.codes("item", items)
        logits = self.logits(request, codes, remember, data, told_by)
        names = ("label", *self.data.config.labels)[: logits.shape[1]]
        return Scores(tuple(items), names, 1 / (1 + np.exp(-logits)), codes >= 0, request)

    def logits(
        self,
        request: Request,
        codes: np.ndarray,
        remember: bool = True,
        data: RankingData | None = None,
        told_by: Hashable = None,
    ) -> np.ndarray:
        """float64 [K, labels] of K >= 1 item codes.

        Args:
            remember: False computes the past along with the candidates.
            data: in which the request's places lie, where the request told them.
            told_by: names that past.
        """
        data = data or self.data
        with torch.inference_mode():
            memory = self._memory(request, data, told_by) if remember else None
            parts = [self._pass(request, data, memory, codes[at : at + CHUNK]) for at in range(0, len(codes), CHUNK)]
        logits = np.concatenate([part.float().cpu().numpy().astype(np.float64).reshape(len(part), -1) for part in parts])
        logits[:, 0] += self.logit_correction
        return logits

    @property
    def remembers(self) -> bool:
        """Whether the model computes a past apart from the candidates."""
        return self.info.view == "sequence" and type(self.model).remember is not Ranker.remember

    def _pass(self, request: Request, data: RankingData, memory: Any, codes: np.ndarray) -> Tensor:
        with devices.autocast(self.device, self.precision):
            if memory is None:
                return self.model(to_device(request_batch(data, self.info.view, request, codes), self.device))
            batch = to_device(candidate_batch(data, request, codes), self.device)
            return self.model.forward_after(memory, request.lo - request.start, batch)

    def _memory(self, request: Request, data: RankingData, told_by: Hashable) -> Any:
        if not self.remembers or request.hi == request.start:
            return None
        key = (request.user if told_by is None else told_by, request.start, request.hi)
        memory = self.memories.pop(key, None)
        if memory is None:
            with devices.autocast(self.device, self.precision):
                memory = self.model.remember(to_device(past_batch(data, request), self.device))
        self.memories[key] = memory  # behind all others: the first one was asked for longest ago
        if len(self.memories) > self.remembered:
            del self.memories[next(iter(self.memories))]
        return memory


def _digest(history: Sequence[PastEvent]) -> bytes:
    """Of all that is told of a past, short enough to be kept."""
    text = repr([(one.item, one.time, one.label, one.action, sorted(one.context.items())) for one in history])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
