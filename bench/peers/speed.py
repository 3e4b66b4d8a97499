"""Training speed of DIN and HSTU beside deepctr-torch's and FuxiCTR's DIN under their own trainers, on the same rows, in turn.

Everybody gets the user id, the item id and the L latest visible items; our models also read what the user did at each past
event, so they do more. One round trains each contender for one epoch on the same rows; ratios are taken round by round,
because the speed of a shared machine drifts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from .. import registry
from ..config import DataConfig, TrainConfig
from ..contract import ModelInfo
from ..data.dataset import RankingData, prepare
from ..data.eventlog import Multi
from ..data.sources.schema import DataRoots
from ..training.checkpoint import Checkpoint
from ..training.progress import Quiet
from ..training.trainer import train
from ..typed import from_dict
from . import fuxictr
from .fuxictr import Arm, Peer
from .fuxictr_rows import peer_rows

BATCH, EMBEDDING, HIDDEN, ATTENTION, DROPOUT = 1024, 16, (200, 80), (80, 40), 0.2

OURS: dict[str, tuple[str, dict[str, object]]] = {
    "din": ("din", {"hidden": HIDDEN, "attention_hidden": ATTENTION, "dropout": DROPOUT}),
    "din, Dice": ("din", {"hidden": HIDDEN, "attention_hidden": ATTENTION, "dropout": DROPOUT, "attention_activation": "dice"}),
    "hstu": ("hstu", {}),
}
"""Contender -> model and settings. Our DIN's attention has ReLU by default, that of the peers Dice: it runs with both."""

DEEPCTR = "deepctr-torch DIN"
FUXICTR: dict[str, dict[str, object]] = {
    "FuxiCTR DIN": {},
    "FuxiCTR DIN, 1 worker": {"num_workers": 1},
    "FuxiCTR DIN, ReLU": {"attention_hidden_activations": "ReLU"},
}
"""Contender -> parameters. One process that loads ahead is the default of its loader; ReLU is the default of our DIN."""

LOADERS = ("FuxiCTR DIN", "FuxiCTR DIN, 1 worker")
"""The same computation: the faster one counts."""

NOT_MEASURED = (
    "FuxiCTR's DIN was not measured: add --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python; "
    "docs/results/peers.md says how."
)


@dataclass(frozen=True)
class EpochTime:
    """One epoch of one contender."""

    examples: int
    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class TrainerSpeed:
    """One contender; one value per round."""

    contender: str
    examples: int
    """Of its epoch."""
    wall: list[float]
    """Examples per second of the wall clock."""
    cpu: list[float]
    """The same of CPU time, all threads."""


def examples(roots: DataRoots, dataset: str, history_length: int) -> RankingData:
    """What every contender trains on: ids alone, none of them hidden, no time information."""
    data = prepare(DataConfig(dataset, history_length=history_length, time="none", unknown_rate=0.0), roots)
    return _ids_only(data)


def compare(data: RankingData, peer: Peer | None, threads: int, rounds: int, say: Callable[[str], None]) -> list[TrainerSpeed]:
    """Train every contender once a round; the first round warms up and is dropped. Without `peer` FuxiCTR is left out.

    Raises:
        PeerFailed: FuxiCTR failed.
    """
    measured: dict[str, list[EpochTime]] = {}
    with tempfile.TemporaryDirectory() as work:
        contenders = {DEEPCTR: _deepctr_din(data)}
        if peer is not None:
            contenders |= _fuxictr_din(data, peer, threads, Path(work))
        contenders |= {name: _ours(registry.info(model), params, data) for name, (model, params) in OURS.items()}
        for at in range(rounds + 1):
            say(f"round {at} of {rounds} ..." if at else "warming up ...")
            for name, run in contenders.items():
                speed = run()
                if at:
                    measured.setdefault(name, []).append(speed)
    return [_measured(name, speeds) for name, speeds in measured.items()]


def _measured(name: str, speeds: Sequence[EpochTime]) -> TrainerSpeed:
    wall = [one.examples / one.wall_seconds for one in speeds]
    return TrainerSpeed(name, speeds[0].examples, wall, [one.examples / one.cpu_seconds for one in speeds])


def lines(rows: Sequence[TrainerSpeed], load: Sequence[float]) -> list[str]:
    """Tables in Markdown: speeds (medians), and ours over each peer's (median, smallest and largest ratio of the rounds).

    `load` holds load averages, the first from before the measurement.
    """
    result = ["| contender | examples/s | per CPU second |", "|---|---|---|"]
    for row in rows:
        result.append(f"| {row.contender} | {statistics.median(row.wall):,.0f} | {statistics.median(row.cpu):,.0f} |")
    result += ["", *_ratios("per CPU second", {row.contender: row.cpu for row in rows})]
    result += ["", *_ratios("by the wall clock", {row.contender: row.wall for row in rows}), ""]
    loaders = [row for row in rows if row.contender in LOADERS]
    result.append(_faster(loaders) if loaders else NOT_MEASURED)
    return [*result, f"Load average {load[0]:.1f} before, {load[-1]:.1f} after; the benchmark itself makes about 1 a thread."]


def _ratios(how: str, speeds: dict[str, list[float]]) -> list[str]:
    """A row a peer, a column for each of ours."""
    result = [f"| {how} | " + " | ".join(f"{name} over it" for name in OURS) + " |", "|---" * (1 + len(OURS)) + "|"]
    for peer, theirs in speeds.items():
        if peer not in OURS:
            result.append("| " + " | ".join([peer, *(_ratio(speeds[name], theirs) for name in OURS)]) + " |")
    return result


def _ratio(mine: list[float], theirs: list[float]) -> str:
    values = [one / other for one, other in zip(mine, theirs, strict=True)]
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def _faster(rows: Sequence[TrainerSpeed]) -> str:
    """Which of the same peer's ways of running is the fastest."""
    wall = max(rows, key=lambda row: statistics.median(row.wall)).contender
    cpu = max(rows, key=lambda row: statistics.median(row.cpu)).contender
    return f"The faster loader of FuxiCTR: by the wall clock that of *{wall}*, per CPU second that of *{cpu}*."


def _ids_only(data: RankingData) -> RankingData:
    """The same rows with the user and item ids as the only fields."""
    vocabulary = dataclasses.replace(data.vocabulary, user=data.vocabulary.user[:1], item=data.vocabulary.item[:1], context=())
    return dataclasses.replace(
        data,
        vocabulary=vocabulary,
        spec=dataclasses.replace(data.spec, user=data.spec.user[:1], item=data.spec.item[:1], context=()),
    )


def _ours(info: ModelInfo, params: dict[str, object], data: RankingData) -> Callable[[], EpochTime]:
    def run() -> EpochTime:
        torch.manual_seed(0)
        told = dataclasses.replace(info.config(), user_id="embedding", embedding_dim=EMBEDDING, **params)  # type: ignore[type-var]
        model = info.build(told, data.spec)
        config = dataclasses.replace(from_dict(TrainConfig, dict(info.train), info.name), epochs=1, batch_size=BATCH)
        with tempfile.TemporaryDirectory() as folder:
            state = train(
                model, info, data, config, 0, torch.device("cpu"), Checkpoint(Path(folder) / "resume.pt", "measured"), Quiet()
            )
        return EpochTime(state.trained, state.seconds, state.cpu_seconds)

    return run


def _fuxictr_din(data: RankingData, peer: Peer, threads: int, work: Path) -> dict[str, Callable[[], EpochTime]]:
    """FuxiCTR's DIN through its own `fit` in its own Python, with each choice of parameters."""
    rows = peer_rows(data, "ids")
    fuxictr.prepare(peer, rows, work)
    widths = {"embedding_dim": EMBEDDING, "dnn_hidden_units": HIDDEN, "attention_hidden_units": ATTENTION, "batch_size": BATCH}
    params = fuxictr.parameters("din", Arm("ids", DROPOUT), rows) | widths

    def with_params(own: dict[str, object]) -> Callable[[], EpochTime]:
        return lambda: EpochTime(**fuxictr.time_epoch(peer, "din", params | own, threads, work))

    return {name: with_params(own) for name, own in FUXICTR.items()}


def _deepctr_din(data: RankingData) -> Callable[[], EpochTime]:
    """deepctr-torch's DIN through its own `fit`, fed with padded rows prepared beforehand (not timed)."""
    with mock.patch("threading.Thread"), contextlib.redirect_stdout(io.StringIO()):  # its import asks PyPI in a thread
        from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
        from deepctr_torch.models import DIN

    length = data.spec.history_length
    event = data.split.examples("train")
    user, item = data.vocabulary.user[0], data.vocabulary.item[0]
    assert not isinstance(user.ids, Multi) and not isinstance(item.ids, Multi)
    at = data.lo[event][:, None] + np.arange(length)
    seen = at < data.hi[event][:, None]
    rows = {
        "user": user.ids[data.log.user_of(event)],
        "item": item.ids[data.log.item[event]],
        "hist_item": np.where(seen, item.ids[data.log.item[np.minimum(at, data.log.meta.events - 1)]], 0),
        "seen": seen.sum(1),
    }
    label = np.asarray(data.log.label[event], dtype=np.float32)
    columns = [
        SparseFeat("user", user.field.size, EMBEDDING),
        SparseFeat("item", item.field.size, EMBEDDING),
        VarLenSparseFeat(SparseFeat("hist_item", item.field.size, EMBEDDING, embedding_name="item"), length, length_name="seen"),
    ]

    def run() -> EpochTime:
        torch.manual_seed(0)
        model = DIN(columns, ["item"], dnn_hidden_units=HIDDEN, att_hidden_size=ATTENTION, device="cpu", dnn_dropout=DROPOUT)  # type: ignore[arg-type]
        model.compile("adam", "binary_crossentropy")
        begin, begin_cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints whatever `verbose` says
            model.fit(rows, label, batch_size=BATCH, epochs=1, verbose=0)
        return EpochTime(len(label), time.perf_counter() - begin, time.process_time() - begin_cpu)

    return run
