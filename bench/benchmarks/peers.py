"""Training speed of DIN and HSTU beside deepctr-torch's own DIN under its own trainer, on the same rows, in turn.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from .. import registry
from ..config import DataConfig, TrainConfig, from_dict
from ..contract import ModelInfo
from ..data.dataset import RankingData, prepare
from ..data.sources.schema import DataRoots
from ..training.progress import Quiet
from ..training.trainer import train

BATCH, EMBEDDING, HIDDEN, ATTENTION = 1024, 16, (200, 80), (80, 40)
PEER = "deepctr-torch DIN"


@dataclass(frozen=True)
class Speed:
    """One epoch of one contender."""

    examples: int
    wall_seconds: float
    cpu_seconds: float


def compare(roots: DataRoots, dataset: str, history_length: int, rounds: int) -> dict[str, list[Speed]]:
    """Train every contender once a round; the first round warms up and is dropped."""
    data = _ids_only(prepare(DataConfig(dataset, history_length=history_length, time="none", unknown_rate=0.0), roots))
    contenders: dict[str, Callable[[], Speed]] = {
        PEER: _deepctr_din(data),
        "din": lambda: _ours(
            registry.info("din"), {"embedding_dim": EMBEDDING, "hidden": HIDDEN, "attention_hidden": ATTENTION}, data
        ),
        "hstu": lambda: _ours(registry.info("hstu"), {"embedding_dim": EMBEDDING}, data),
    }
    measured: dict[str, list[Speed]] = {name: [] for name in contenders}
    for at in range(rounds + 1):
        for name, run in contenders.items():
            speed = run()
            if at:
                measured[name].append(speed)
    return measured


def lines(measured: dict[str, list[Speed]]) -> list[str]:
    """A table: examples/s by the wall clock and per CPU-second (median), and ratios to the peer (median, smallest, largest)."""
    result = [f"{'contender':<20}{'examples/s':>12}{'per CPU-s':>12}   ratio of examples/s     ratio per CPU-second"]
    for name, speeds in measured.items():
        wall = [s.examples / s.wall_seconds for s in speeds]
        cpu = [s.examples / s.cpu_seconds for s in speeds]
        ratios = [
            _ratio([one / (peer.examples / getattr(peer, key)) for one, peer in zip(mine, measured[PEER], strict=True)])
            for mine, key in ((wall, "wall_seconds"), (cpu, "cpu_seconds"))
        ]
        result.append(f"{name:<20}{statistics.median(wall):>12,.0f}{statistics.median(cpu):>12,.0f}   {ratios[0]}   {ratios[1]}")
    return result


def _ratio(values: list[float]) -> str:
    return f"{statistics.median(values):5.2f} [{min(values):5.2f}, {max(values):5.2f}]"


def _ids_only(data: RankingData) -> RankingData:
    """The same rows with the user and item ids as the only fields."""
    vocabulary = dataclasses.replace(data.vocabulary, user=data.vocabulary.user[:1], item=data.vocabulary.item[:1], context=())
    return dataclasses.replace(
        data,
        vocabulary=vocabulary,
        spec=dataclasses.replace(data.spec, user=data.spec.user[:1], item=data.spec.item[:1], context=()),
    )


def _ours(info: ModelInfo, params: dict[str, object], data: RankingData) -> Speed:
    torch.manual_seed(0)
    model = info.build(dataclasses.replace(info.config(), **params), data.spec)  # type: ignore[type-var]
    config = dataclasses.replace(from_dict(TrainConfig, dict(info.train), info.name), epochs=1, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        state = train(model, info, data, config, 0, torch.device("cpu"), Path(folder) / "resume.pt", Quiet())
    return Speed(state.trained, state.seconds, state.cpu_seconds)


def _deepctr_din(data: RankingData) -> Callable[[], Speed]:
    """deepctr-torch's DIN through its own `fit`, fed with padded rows prepared beforehand (not timed)."""
    with mock.patch("threading.Thread"), contextlib.redirect_stdout(io.StringIO()):  # its import asks PyPI in a thread
        from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
        from deepctr_torch.models import DIN

    length = data.spec.history_length
    event = data.split.examples("train")
    user, item = data.vocabulary.user[0], data.vocabulary.item[0]
    assert isinstance(user.ids, np.ndarray) and isinstance(item.ids, np.ndarray)
    at = data.lo[event, None] + np.arange(length)
    seen = at < data.hi[event, None]
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

    def run() -> Speed:
        torch.manual_seed(0)
        model = DIN(columns, ["item"], dnn_hidden_units=HIDDEN, att_hidden_size=ATTENTION, device="cpu", dnn_dropout=0.2)  # type: ignore[arg-type]
        model.compile("adam", "binary_crossentropy")
        begin, begin_cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints whatever `verbose` says
            model.fit(rows, label, batch_size=BATCH, epochs=1, verbose=0)
        return Speed(len(label), time.perf_counter() - begin, time.process_time() - begin_cpu)

    return run
