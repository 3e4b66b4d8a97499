"""Workers each of which takes itself for alone on a machine: `python machines.py STORAGE COUNT`, in the folder of the data.

They are forked from one process that has imported everything, which takes longer than what they train. Nobody can look whether
another one's process is there: as between machines, silence is all that tells of a death. Prints their process numbers, a line
each, and at the end a line with the JSON of their exit codes, in the same order.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from rankbench.bench import cli
from rankbench.bench.registry import info
from rankbench.bench.search import lease, sweep
from rankbench.bench.workers import cells, worker
from support.forked import exit_code, forked

BEAT, STALE = 0.5, 8.0
"""Shorter than in earnest; a busy machine must not be taken for a dead one."""


def main(storage: str, count: int) -> None:
    assert sweep and cells and worker and info("hstu") and info("din")
    torch.set_num_threads(1)
    lease.BEAT, lease.STALE = BEAT, STALE

    def work(number: int) -> int:
        lease.MACHINE = f"machine-{number}"
        return cli.main(("worker", "--storage", storage, "--device", "cpu", "--quiet"))

    crew: list[int] = []
    for number in range(count):
        crew.append(forked(functools.partial(work, number)))
        print(crew[-1], flush=True)
    print(json.dumps(list(map(exit_code, crew))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
