"""A model as programs of torch.export, which take requests of any length.

    scores      a whole request: past and candidates -> logits
    remember    a past -> what is computed of it alone
    candidates  what `remember` gave, and candidates -> logits of `scores`

Every model has the first; a model that remembers has the others too. Tracing runs the model's Python once: operations are
those of torch (`dense` for attention), so that a program needs neither this package nor a compiler where it runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...kernels import dispatch
from ..contract import DataSpec, ModelInfo, PointwiseBatch, Ranker, SequenceBatch
from ..data.dataset import RankingData
from ..data.requests import Request, candidate_batch, past_batch, request_batch, request_of
from ..errors import UserError
from .tensors import tensors, with_tensors

if TYPE_CHECKING:
    from torch.export import ExportedProgram

SCORES, REMEMBER, CANDIDATES = "scores", "remember", "candidates"

FEWEST = 2
"""Candidates that a program takes at least: a size of one is a case of its own to torch.export. Candidates do not see each
other, so that whoever has one asks for it twice."""

_EXAMPLE = 5
"""Candidates of the request by which a model is traced."""

_ROOMS = ("kernels", "baselines", "generative", "unified")
"""Of the package: where models are."""


@dataclass(frozen=True)
class Program:
    """One of a model."""

    exported: ExportedProgram
    inputs: tuple[str, ...]
    """Names of its tensors in their order, see `inputs_of` and `tensors`."""


@dataclass(frozen=True)
class _ServedBatch(SequenceBatch):
    """A batch that is told which events are observed: a shape of its own for tracing, and not one that depends on values."""

    observed_events: Tensor = field(kw_only=True)
    """int64 [P]"""

    def seen(self) -> Tensor:
        return self.observed_events


def served(batch: PointwiseBatch | SequenceBatch) -> PointwiseBatch | SequenceBatch:
    """A batch as programs take it."""
    if isinstance(batch, PointwiseBatch):
        return batch
    own = {one.name: getattr(batch, one.name) for one in dataclasses.fields(batch)}
    return _ServedBatch(**own, observed_events=batch.seen())


def inputs_of(batch: PointwiseBatch | SequenceBatch) -> dict[str, Tensor]:
    """The tensors of a batch by the names that programs know."""
    return tensors(served(batch), "batch")


def example_model(info: ModelInfo, spec: DataSpec, seed: int = 3) -> Ranker:
    """A model with weights that matter: fresh ones are so small that little of the input shows in a score."""
    torch.manual_seed(seed)
    model = info.build(info.config(), spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def trace(model: Ranker, info: ModelInfo, data: RankingData) -> dict[str, Program]:
    """All programs of a trained model, in float32 on the CPU.

    Raises:
        UserError: it cannot be traced, and why.
    """
    request = _example(data)
    codes = torch.arange(_EXAMPLE).remainder(data.log.meta.items).numpy()
    batch = served(request_batch(data, info.view, request, codes))
    model = model.eval()
    try:
        with _traceable():
            programs = {SCORES: _traced(_Scores(model, batch), tensors(batch, "batch"))}
            if info.view != "sequence" or type(model).remember is Ranker.remember:
                return programs
            past = served(past_batch(data, request))
            with torch.no_grad():
                memory = model.remember(past)
            if memory is None:
                return programs
            programs[REMEMBER] = _traced(_Remember(model, past), tensors(past, "batch"))
            alone = served(candidate_batch(data, request, codes))
            given = tensors(memory, "memory") | {"seen_from": torch.tensor(request.lo - request.start)}
            programs[CANDIDATES] = _traced(_Candidates(model, memory, alone), given | tensors(alone, "batch"))
            return programs
    except UserError:
        raise
    except Exception as error:  # whatever a model's code and torch.export do to each other: it is the answer
        raise UserError(f"{info.name} cannot be exported: {_reason(error)}") from error


def _example(data: RankingData) -> Request:
    """The test request with the longest past that a sequence ranker reads."""
    events = data.split.examples("test")
    longest = max(events[:: max(1, len(events) // 200)].tolist(), key=lambda event: data.hi[event] - data.lo[event])
    request = request_of(data, int(longest))
    if request.hi - request.start < FEWEST:
        raise UserError(f"no test request of {data.log.meta.name} has a past; a model is exported by an example that has one")
    return request


class _Scores(nn.Module):
    def __init__(self, model: Ranker, batch: Any) -> None:
        super().__init__()
        self.model, self.batch = model, batch

    def forward(self, *given: Tensor) -> Tensor:
        return self.model(with_tensors(self.batch, given))


class _Remember(nn.Module):
    def __init__(self, model: Ranker, past: Any) -> None:
        super().__init__()
        self.model, self.past = model, past

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        memory = self.model.remember(with_tensors(self.past, given))
        # A program gives no tensor that it was given.
        return tuple(one.clone() for one in tensors(memory).values())


class _Candidates(nn.Module):
    def __init__(self, model: Ranker, memory: Any, alone: Any) -> None:
        super().__init__()
        self.model, self.memory, self.alone = model, memory, alone
        self.kept = len(tensors(memory))

    def forward(self, *given: Tensor) -> Tensor:
        memory = with_tensors(self.memory, given[: self.kept])
        seen_from: Any = given[self.kept].item()
        return self.model.forward_after(memory, seen_from, with_tensors(self.alone, given[self.kept + 1 :]))


def _traced(module: nn.Module, given: Mapping[str, Tensor]) -> Program:
    from torch.export import Dim, export

    # Tensors that stand for several inputs would be taken for one.
    example = tuple(one.clone() for one in given.values())
    dynamic = tuple({0: Dim.DYNAMIC} if one.dim() else {} for one in example)
    exported = export(module, example, dynamic_shapes=(dynamic,), strict=False)
    return Program(exported, tuple(given))


@contextlib.contextmanager
def _traceable() -> Iterator[None]:
    """Operations without ctypes or shapes by values; sizes that stay symbols; no advice about either."""
    from torch.fx.experimental import _config

    preferred = ("dense", "torch")
    choices = {
        operation: next(name for name in preferred if name in dispatch.names(operation))
        for operation in dispatch.OPERATIONS
        if set(preferred) & set(dispatch.names(operation))
    }
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        dispatch.forced(choices),
        _lengths_as_symbols(),
        _config.patch(backed_size_oblivious=True),  # pyright: ignore[reportAttributeAccessIssue]  (made at run time)
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _lengths_as_symbols() -> Iterator[None]:
    """Let `len` of a tensor be a symbol in the models' own modules, as torch.fx does it for its tracer: Python's must be a
    number, and would fix the length of every request to that of the example."""
    root = __name__.partition(".bench.")[0]
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(tuple(f"{root}.{one}." for one in _ROOMS))]
    modules.append(sys.modules[SequenceBatch.__module__])
    for module in modules:
        module.__dict__["len"] = lambda sized: sized.__len__()
    try:
        yield
    finally:
        for module in modules:
            del module.__dict__["len"]


def _reason(error: Exception) -> str:
    """What torch.export says first, and the line of the model at which it says so."""
    said = " ".join(str(error).split()).partition(" (unhinted")[0].partition(". ")[0][:160]
    ours = [one for one in traceback.extract_tb(error.__traceback__) if set(_ROOMS) & set(Path(one.filename).parts)]
    where = f" ({Path(ours[-1].filename).name}: {ours[-1].line})" if ours else ""
    return f"{said.rstrip('. ')}{where}".replace("|", "/")  # it stands in tables
