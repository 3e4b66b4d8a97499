"""Processes that train together, forked from one that has imported everything: `python forked_team.py SIZE TASK ARGUMENTS`.

Each has the environment that torchrun would give it. Tasks: `fit FOLDER` trains the plain models of in_team.py and writes their
weights and `rank-N.json`; `run ARGUMENTS` is the command line. Exits with the first exit code that is not 0.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import distributed

from rankbench.bench import cli
from rankbench.bench.registry import info
from rankbench.bench.runs import schedule
from rankbench.bench.speed import exchange
from rankbench.bench.training.team import assembled
from support.forked import exit_code, forked
from support.in_team import PLAIN, fit, tiny


def fitted(folder: Path) -> int:
    """Weights, steps and the bytes of every sum of gradients, of each plain model."""
    summed: list[int] = []
    all_reduce = distributed.all_reduce

    def watched(tensor: torch.Tensor) -> Any:
        summed.append(tensor.nbytes)
        return all_reduce(tensor)

    distributed.all_reduce = watched  # type: ignore[assignment]
    with assembled("cpu") as (team, _):
        data = tiny(folder / f"log-{team.rank}")
        found: dict[str, Any] = {}
        for name in PLAIN:
            summed.clear()
            model, state = fit(name, data, folder / f"{name}.pt", team)
            torch.save(model.state_dict(), folder / f"{name}-{team.rank}.weights")
            found[name] = {"steps": state.steps, "trained": state.trained, "curve": state.curve}
            found[name] |= {"summed": sorted(set(summed)), "sums": len(summed), "counted": exchange.sizes(model)}
        (folder / f"rank-{team.rank}.json").write_text(json.dumps(found))
    return 0


def member(task: str, arguments: list[str]) -> int:
    torch.set_num_threads(1)
    return fitted(Path(arguments[0])) if task == "fit" else cli.main(("run", *arguments))


def main(size: int, task: str, arguments: list[str]) -> int:
    assert schedule and all(info(name) for name in PLAIN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def work(rank: int) -> int:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({key: str(value) for key, value in place.items()})
        return member(task, arguments)

    crew = [forked(functools.partial(work, rank)) for rank in range(size)]
    codes = list(map(exit_code, crew))
    return next((code for code in codes if code != 0), 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
