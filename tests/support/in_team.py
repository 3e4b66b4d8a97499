"""What tests run in each of two processes that train together: `python in_team.py FOLDER`, with the environment of torchrun.

Writes what it found to `FOLDER/rank-N.json`, and the models' weights beside it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Settings, TrainConfig
from rankbench.bench.contract import Ranker
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError
from rankbench.bench.records.store import Store
from rankbench.bench.runs import schedule
from rankbench.bench.runs.cell import plan
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.team import Team, assembled
from rankbench.bench.training.trainer import TrainState, train
from support.logs import make_data

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=3, patience=3, batch_size=100, batch_events=300, lr=1e-3, clip_norm=0.5, lr_decay="linear", ema=0.5)
PLAIN: dict[str, dict[str, Any]] = {
    "deepfm": {"dropout": 0.0},
    "din": {"dropout": 0.0, "activation": "relu"},
    "hstu": {"dropout": 0.0},
    "llama": {"dropout": 0.0},
}
"""Models without random masks and without statistics of a batch: for these a step is that of the union of the batches."""


def tiny(folder: Path) -> RankingData:
    """Without hidden ids, which are drawn batch by batch."""
    return make_data(folder, DataConfig("tiny", history_length=6, unknown_rate=0.0), users=40, longest=80)


def fit(
    name: str, data: RankingData, file: Path, team: Team, progress: Quiet | None = None, config: TrainConfig = CONFIG
) -> tuple[Ranker, TrainState]:
    info = registry.info(name)
    # Every process starts elsewhere: all must go on from the leader's weights.
    torch.manual_seed(team.rank)
    model = info.build(info.config(**PLAIN.get(name, {})), data.spec)
    return model, train(model, info, data, config, 0, CPU, Checkpoint(file, "test"), progress or Quiet(), team)


class Stop(BaseException):
    """The power goes off in all processes."""


class At(Quiet):
    """Does something at a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.left, self.action = step, action

    def step(self, loss: float, examples: int) -> None:
        self.left -= 1
        if self.left == 0:
            self.action()


def stop() -> None:
    raise Stop


def weights(model: torch.nn.Module) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in model.state_dict().items()}


def resumed(name: str, data: RankingData, folder: Path, team: Team) -> dict[str, list[float]]:
    """The weights of a run that stopped within an epoch, which must end as one that did not."""
    model, straight = fit(name, data, folder / f"{name}.pt", team)
    file, often = folder / f"stopped-{name}.pt", dataclasses.replace(CONFIG, checkpoint_seconds=1e-9)
    try:
        fit(name, data, file, team, At(7, stop), often)
    except Stop:
        again, state = fit(name, data, file, team, config=often)
        assert [dict(point, seconds=0) for point in state.curve] == [dict(point, seconds=0) for point in straight.curve]
        assert state.steps == straight.steps and weights(again) == weights(model)
        return weights(again)
    raise AssertionError("it did not stop")


def overflow(team: Team) -> list[Any]:
    """One process's gradients overflow: all leave the step out and halve the scale."""
    model = torch.nn.Linear(2, 1)
    torch.nn.init.ones_(model.weight)
    optimizer, scaler = torch.optim.SGD(model.parameters(), 0.1), torch.amp.GradScaler("cpu", init_scale=4.0)

    def gradients() -> tuple[torch.Tensor, int]:
        loss = model(torch.ones(1, 2)).sum()
        (scaler.scale(loss) * (torch.inf if team.rank == 1 else 1)).backward()
        return loss, 1

    team.average(model, gradients)
    scaler.step(optimizer)
    scaler.update()
    return [model.weight.tolist(), scaler.get_scale()]


def failing(folder: Path, team: Team) -> dict[str, str | None]:
    """Errors by model of a benchmark in which one model fails in one process, another's loss is infinite."""
    built = registry.info("deepfm").build

    def breaks(config: Any, spec: Any) -> Ranker:
        model = built(config, spec)
        if team.rank == 1:
            model.forward = lambda batch: {}["nothing"]  # type: ignore[method-assign]
        return model

    cards = {"deepfm": dataclasses.replace(registry.info("deepfm"), build=breaks)}
    known = registry.info
    registry.info = lambda name: cards.get(name) or known(name)  # type: ignore[assignment]
    changes = ["train.epochs=1", "train.batch_size=64", "train.batch_events=200", "dnn.train.lr=1e30", "dnn.train.clip_norm=0"]
    settings = Settings(data={"dataset": str(folder / "clicks.yaml")}).changed(changes, tuple(registry.MODELS))
    models, store = ("ctr", "deepfm", "dnn", "hstu"), Store(folder / "results")
    cells = plan(models, settings, 1)
    made = schedule.run_all(cells, schedule.Options(store, DataRoots(None, folder / "cache"), quiet=True, team=team))
    registry.info = known
    return {record.identity.model: record.error for record in made}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with assembled("cpu") as (team, device):
        data = tiny(folder / f"log-{team.rank}")
        found: dict[str, Any] = {"leads": team.leads, "size": team.size, "device": str(device)}
        for name in PLAIN:
            model, state = fit(name, data, folder / f"{name}.pt", team)
            torch.save(model.state_dict(), folder / f"{name}-{team.rank}.weights")
            found[name] = {"steps": state.steps, "trained": state.trained, "curve": state.curve}
        found["resumed"] = {name: resumed(name, data, folder, team) for name in ("dien", "sasrec")}
        found["overflow"] = overflow(team)
        found["failing"] = failing(folder, team)
        brief = dataclasses.replace(CONFIG, max_seconds=0.05, epochs=1000, patience=1000)
        found["brief"] = fit("deepfm", data, folder / "brief.pt", team, config=brief)[1].steps
        try:
            fit("deepfm", data, folder / "alone.pt", team)
        except UserError as error:
            found["refused"] = str(error)
        (folder / f"rank-{team.rank}.json").write_text(json.dumps(found))
        # The last: one process goes away.
        try:
            fit("hstu", data, folder / "lost.pt", team, At(3, lambda: os._exit(9)) if team.rank == 1 else None)
        except UserError as error:
            (folder / "lost.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
