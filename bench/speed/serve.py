"""What a request costs where a model serves: names in, probabilities out, at lengths of history and numbers of candidates.

A request is asked for as a client would: user, time, context and candidates by their names, so that looking names up, making the
batch and the model all count; HTTP does not (`rankbench serve` has its own measurements). A generative ranker is measured twice:
the past computed with every request, and a past that is kept from an earlier one.

Contenders take turns in every round: the speed of a shared machine drifts.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from .. import registry
from ..config import DataConfig, Settings, resolve
from ..data.asked import Asked, AskedOf
from ..data.dataset import RankingData, prepare, prepare_log
from ..data.eventlog import write_log
from ..data.sources.schema import DataRoots
from ..data.sources.simulator import SimulatorConfig, simulate
from ..errors import UserError
from ..serving import Precision, Scorer
from .load import Ask, ClosedLoad, OpenLoad, closed_load, open_load

Form = Literal["eager", "exported", "compiled"]
"""The model's own code, or its package (bench/export), which computes in fp32."""
FORMS: tuple[Form, ...] = ("eager", "exported", "compiled")
Past = Literal["computed", "kept"]
"""Whether what is computed of the past alone is kept from an earlier request of the user."""

SIMULATED_USERS, SIMULATED_ITEMS = 150, 10_000

COMPARED = 8
"""Requests by which numbers of lower precision are held against fp32."""


@dataclass(frozen=True)
class Traffic:
    """Requests that see as many past events as were asked for."""

    data: RankingData
    asked: tuple[Asked, ...]
    candidates: tuple[tuple[str, ...], ...]
    """Of each request the names of as many items as any measurement has; the first is the logged one."""


@dataclass(frozen=True)
class ServeTime:
    """One model at one size; one value per round."""

    model: str
    precision: Precision
    past: Past
    history: int
    """Past events that the request sees."""
    read: float
    """Past events that the model reads, mean over requests: what is trained on long segments reads more than a request sees."""
    candidates: int
    quantised: float | None
    """Share of the weights of linear maps that are int8; None of other precisions."""
    difference: float | None
    """Largest difference of a probability from fp32; None of fp32."""
    closed: list[ClosedLoad]
    open: list[list[OpenLoad]]
    """Round -> one for each share of the capacity."""
    form: Form = "eager"
    threads: int = 1


def simulated(history: int, folder: Path, items: int = SIMULATED_ITEMS) -> RankingData:
    """A log of the simulator in which most users have more past events than a request sees.

    Args:
        folder: which is made, for the log.
    """
    events = round(1.3 * SIMULATED_USERS * history) + 20 * SIMULATED_USERS
    raw = simulate(SimulatorConfig(events=events, users=SIMULATED_USERS, items=items), "simulated")
    return prepare_log(write_log(raw, folder), DataConfig("simulated", history_length=history))


def of_dataset(dataset: str, history: int, roots: DataRoots) -> RankingData:
    """A data set with histories of this length at most."""
    return prepare(DataConfig(dataset, history_length=history), roots)


def traffic(data: RankingData, candidates: int, requests: int = 64) -> Traffic:
    """Test requests with full histories, drawn at random.

    Args:
        candidates: of each, at most.
        requests: different ones at most, which are asked for in turn.

    Raises:
        UserError: no test request sees so many past events.
    """
    rng, events, history = np.random.default_rng(0), data.split.examples("test"), data.config.history_length
    seen = np.array([data.hi[event] - data.lo[event] for event in events])
    full = events[seen == history]
    if not len(full):
        raise UserError(
            f"no test request of {data.log.meta.name} sees {history} past events, {seen.max(initial=0)} at most: give a smaller "
            "--history, or leave --dataset out for a simulated log"
        )
    chosen = rng.choice(full, min(requests, len(full)), replace=False)
    names = AskedOf(data)
    asked = tuple(names.request(int(event)) for event in chosen)
    drawn = rng.integers(0, data.log.meta.items, (len(asked), candidates))
    items = tuple((one.item, *(names.item(code) for code in row[1:])) for one, row in zip(asked, drawn.tolist(), strict=True))
    return Traffic(data, asked, items)


def scorer_of(model: str, data: RankingData, settings: Settings, device: torch.device) -> Scorer:
    """A model as it is before training: speed does not depend on what it has learned."""
    info = registry.info(model)
    torch.manual_seed(0)
    network = info.build(resolve(info, settings).params, data.spec).to(device)
    return Scorer(network.eval(), info, data, data.logit_correction, device)


@dataclass(frozen=True)
class Contender:
    """A scorer at one size, ready to be asked."""

    row: ServeTime
    ask: Ask

    def with_threads(self, threads: int) -> Contender:
        """The same one, to be measured in a process with that many threads."""
        return Contender(dataclasses.replace(self.row, threads=threads, closed=[], open=[]), self.ask)


def contenders(
    exact: Scorer, variants: Mapping[tuple[Form, Precision], Scorer], requests: Traffic, sizes: Sequence[int]
) -> Iterator[Contender]:
    """One model in some forms and precisions, at each number of candidates, with the past computed and, if it can be, kept. What
    is kept of a past is computed here, before anything is measured.

    Args:
        exact: the model in fp32.
    """
    history = requests.data.config.history_length
    for scorer in variants.values():  # requests come in a cycle: with less room, each past would be gone when its turn comes
        scorer.remembered = max(scorer.remembered, len(requests.asked))
    for (form, precision), scorer in variants.items():
        pasts: tuple[Past, ...] = ("computed", "kept") if scorer.remembers else ("computed",)
        same = (form, precision) == ("eager", "fp32")
        difference = None if same else _difference(exact, scorer, requests, max(sizes))
        read = _read(scorer, requests)
        for size, past in itertools.product(sizes, pasts):
            row = ServeTime(scorer.info.name, precision, past, history, read, size, scorer.int8_share, difference, [], [], form)
            yield Contender(row, _ask(scorer, requests, size, past == "kept"))


def measure(one: Contender, shares: Sequence[float], seconds: float, round_: int) -> None:
    """One round: the closed load, then an open one at each share of the capacity that it found."""
    closed = closed_load(one.ask, seconds)
    one.row.closed.append(closed)
    one.row.open.append([open_load(one.ask, share, closed.per_second, seconds, seed=round_) for share in shares])


def warm_up(one: Contender) -> None:
    """What is compiled at first, or chosen, is not counted."""
    for at in range(2):
        one.ask(at)


def _ask(scorer: Scorer, requests: Traffic, size: int, remember: bool) -> Callable[[int], np.ndarray]:
    candidates = [names[:size] for names in requests.candidates]

    def ask(number: int) -> np.ndarray:
        at = number % len(requests.asked)
        one = requests.asked[at]
        return scorer.score(one.user, candidates[at], one.time, one.context, remember=remember).probability

    return ask


def _difference(exact: Scorer, scorer: Scorer, requests: Traffic, size: int) -> float:
    ours, theirs = (_ask(one, requests, min(size, 100), remember=False) for one in (scorer, exact))
    return max(float(np.abs(ours(at) - theirs(at)).max()) for at in range(min(COMPARED, len(requests.asked))))


def _read(scorer: Scorer, requests: Traffic) -> float:
    found = (scorer.score(one.user, [one.item], one.time, one.context).request for one in requests.asked)
    sequence = scorer.info.view == "sequence"
    return statistics.mean(request.hi - (request.start if sequence else request.lo) for request in found)


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)
