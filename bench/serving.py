"""Scores for serving: a trained model, a user, a moment, and candidates, all with ids as they stand in the source data."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy import special
from torch import Tensor

from . import device as devices
from . import registry, rows
from .config import TrainConfig
from .contract import ModelInfo, Ranker, to_device
from .data.asked import AskedOf
from .data.dataset import RankingData
from .data.requests import Request, candidate_batch, past_batch, request_after, request_at, request_batch
from .data.source_names import SourceNames
from .data.sources.schema import DataRoots
from .data.told import PastEvent, told
from .errors import UserError, in_one_line
from .export import package
from .export.programs import FEWEST
from .quantised import quantised
from .records import weights
from .typed import from_dict

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")

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
    int8_share: float | None = None
    """Share of the weights of linear maps that are int8; None of a model that is not quantised."""
    memories: dict[tuple[Hashable, int, int], Any] = field(default_factory=dict)
    """(user, or the past that a request told; start; hi) -> what the model remembers of these events."""
    names: SourceNames = field(init=False)

    def __post_init__(self) -> None:
        self.names = SourceNames(self.data)

    @classmethod
    def load(
        cls,
        path: Path,
        roots: DataRoots,
        device: torch.device,
        dataset: str | None = None,
        precision: Precision | None = None,
    ) -> Scorer:
        """The model of a file of weights, or of a package (.pt2) of `rankbench export`.

        Args:
            dataset: the YAML file of one's own table; the header knows its name alone.
            precision: to compute in; None: that in which the model was trained, of a package its own.

        Raises:
            UserError: the file, its data set or its split are not what they were, or the precision cannot be had.
        """
        if path.suffix == package.SUFFIX:
            if device.type != "cpu" or precision not in (None, "fp32"):
                raise UserError(f"package {path} computes in fp32 on the CPU: use its weights for another precision or device")
            packaged = package.read_header(path)
            info, data, _ = of_header(packaged.weights, path, roots, dataset)
            model = package.load(path, packaged)
            return cls(model, info, data, packaged.weights.logit_correction, device)
        state, header = weights.read(path)
        info, data, where = of_header(header, path, roots, dataset)
        model = info.build(from_dict(info.config, header.experiment["params"], where), data.spec).to(device)
        weights.restore(model, state, path, device)
        train = from_dict(TrainConfig, header.experiment["train"], where)
        found = cls(model.eval(), info, data, header.logit_correction, device, train.precision)
        return found if precision is None else found.in_precision(precision)

    def with_weights(self, path: Path) -> Scorer:
        """The same model with other weights, of another seed.

        Raises:
            UserError: they cannot be read or are of another model.
        """
        state, header = weights.read(path)
        params = from_dict(self.info.config, header.experiment["params"], f"the header of {path}")
        model = self.info.build(params, self.data.spec).to(self.device)
        weights.restore(model, state, path, self.device)
        return replace(self, model=model.eval(), memories={})

    def in_precision(self, precision: Precision) -> Scorer:
        """The same model in another precision; int8 is a copy, see quantised.py.

        Raises:
            UserError: it cannot be computed so, and why.
        """
        if isinstance(self.model, package.PackagedRanker):
            raise UserError("a package computes in fp32; use its weights for another precision")
        if precision != "int8":
            if reason := devices.supports(self.device, precision):
                raise UserError(f"{precision} cannot be had on {self.device}: {reason}")
            return replace(self, precision=precision, memories={})
        if self.device.type != "cpu":
            raise UserError("int8 is computed on the CPU alone")
        exact = replace(self, precision="fp32", memories={})
        event = int(self.data.split.examples("test")[-1])
        asked = AskedOf(self.data).request(event)

        def request(of: Scorer) -> None:
            for remember in (False, True):
                of.score(asked.user, [asked.item, asked.item], asked.time, asked.context, remember=remember)

        try:
            found = quantised(exact.model, lambda: request(exact))
            other = replace(exact, model=found.model, int8_share=found.share, memories={})
            request(other)
        except (UserError, AttributeError, TypeError, RuntimeError) as error:  # of code that reads weights itself after all
            reason = str(error) if isinstance(error, UserError) else in_one_line(error)
            raise UserError(f"{self.info.name} cannot be computed in int8: {reason}") from None
        other.memories.clear()
        return other

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
        return Scores(tuple(items), names, special.expit(logits), codes >= 0, request)

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
        if isinstance(self.model, package.PackagedRanker):
            return self.model.remembers
        return self.info.view == "sequence" and type(self.model).remember is not Ranker.remember

    def _pass(self, request: Request, data: RankingData, memory: Any, codes: np.ndarray) -> Tensor:
        asked = len(codes)
        if isinstance(self.model, package.PackagedRanker) and asked < FEWEST:
            codes = np.resize(codes, FEWEST)
        with devices.autocast(self.device, self.precision):
            if memory is None:
                return self.model(to_device(request_batch(data, self.info.view, request, codes), self.device))[:asked]
            batch = to_device(candidate_batch(data, request, codes), self.device)
            return self.model.forward_after(memory, request.lo - request.start, batch)[:asked]

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


def of_header(header: weights.Header, path: Path, roots: DataRoots, dataset: str | None) -> tuple[ModelInfo, RankingData, str]:
    """The card of the model of a file, and its data set as it is here; then where the header stands, for messages.

    Raises:
        UserError: the data set or its split are not what they were.
    """
    experiment, where = header.experiment, f"the header of {path}"
    data = rows.data_of(experiment["data"], roots, where, dataset)
    if experiment["train"]["order"] == "time":  # it knows what the last window that it learned from had
        data = data.at(data.windows - 2)
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
    return registry.info(experiment["model"]), data, where


def _digest(history: Sequence[PastEvent]) -> bytes:
    """Of all that is told of a past, short enough to be kept."""
    text = repr([(one.item, one.time, one.label, one.action, sorted(one.context.items())) for one in history])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
