"""Everything that a card has to show, as one run of under nine minutes: `PYTHONPATH=tests python -m support.gpu_check`.

The steps are data: what is run with a card, and the same on small shapes without one, where Triton's programs run in its
interpreter, so that nothing fails for the first time on the card. A step has a limit of its own and runs whatever became of those
before it. Results are kept after every step in results.json of the folder that is named, beside what each step printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rankbench.bench.atomic import write_text
from support.tables import click_table

ALL_TOGETHER_S = 530.0
"""Nine minutes, less what it takes to begin and to end."""


@dataclass(frozen=True)
class Step:
    """One thing to show."""

    name: str
    on_card: str
    """What Python is given; {folder} stands for the results folder."""
    small: str
    """The same without a card; {table} stands for a small table of one's own."""
    limit_s: float


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    name: str
    result: str
    """ok, failed, too long (what it had kept by then is there) or no time left"""
    seconds: float
    command: str
    said: list[str]
    """The last lines that it printed."""


WIDE = "--set train.precision=bf16 --set train.max_seconds=8 --set train.epochs=1 --seeds 1 --jobs 1 --quiet"
"""Models of width 512 for some seconds: whether they train at all, with their memory and speed in the record."""

STEPS = (
    Step(
        "programs", "-m pytest -q tests/kernels/test_triton.py -m 'long and not slow'",
        "-m pytest -q tests/kernels/test_triton.py -m 'long and not slow' -k 'nothing or borders or blocks or gpus'", 100,
    ),
    Step(
        "attention", "-m rankbench speed kernels --device cuda --dtype bf16 --grid published --rounds 2 --results {folder}",
        "-m support.interpreted speed kernels --device cpu --grid tiny --rounds 1 --results {folder}", 115,
    ),
    Step(
        "training",
        "-m rankbench speed train --device cuda --dataset simulator --models din,hstu,sasrec,llama --seconds 3 --rounds 1"
        " --results {folder}",
        "-m support.interpreted speed train --device cpu --dataset {table} --models din,hstu --seconds 1 --rounds 1"
        " --results {folder}", 80,
    ),
    Step(
        "training-wide",
        f"-m rankbench run --device cuda --dataset simulator --models hstu,sasrec,llama {WIDE} --set hstu.width=512"
        " --set hstu.layers=8 --set hstu.heads=8 --set sasrec.width=512 --set llama.width=512 --set llama.heads=8"
        " --results {folder}/wide",
        "-m support.interpreted run --device cpu --dataset {table} --models hstu --set hstu.width=64 --set hstu.heads=4"
        " --set train.epochs=1 --seeds 1 --jobs 1 --quiet --results {folder}/wide", 90,
    ),
    Step(
        "board",
        "-m rankbench run --device cuda --dataset ml-100k --models din,hstu --set train.precision=bf16 --set train.epochs=3"
        " --seeds 1 --quiet --results {folder}/board",
        "-m rankbench run --device cpu --dataset {table} --models din,hstu --set train.precision=bf16 --set train.epochs=1"
        " --seeds 1 --jobs 1 --quiet --results {folder}/board", 90,
    ),
    Step(
        "scoring", "-m rankbench predict hstu --device cuda --dataset ml-100k --user 1 --results {folder}/board",
        "-m support.interpreted predict hstu --device cpu --dataset {table} --user u1 --results {folder}/board", 40,
    ),
)  # fmt: skip


def run_step(step: Step, card: bool, folder: Path, table: Path, left_s: float) -> Outcome:
    """One step in a process group of its own, which ends with the limit; what it prints goes to NAME.log of the folder."""
    command = (step.on_card if card else step.small).format(folder=folder, table=table)
    limit = min(step.limit_s, left_s)
    if limit <= 0:
        return Outcome(step.name, "no time left", 0.0, command, [])
    log = folder / f"{step.name}.log"
    begin = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *shlex.split(command)], stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            result = "ok" if process.wait(limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            result = "too long"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = log.read_text(errors="replace").splitlines()
    return Outcome(step.name, result, round(time.monotonic() - begin, 1), command, lines[-12:])


def run_all(steps: Sequence[Step], card: bool, folder: Path, all_together_s: float = ALL_TOGETHER_S) -> list[Outcome]:
    """Every step in turn; results.json of the folder is written after each."""
    folder.mkdir(parents=True, exist_ok=True)
    table = click_table(folder, rows=120)
    name = torch.cuda.get_device_name() if card else None
    begin, outcomes = time.monotonic(), []
    for step in steps:
        print(f"{step.name} ...", flush=True)
        outcomes.append(run_step(step, card, folder, table, all_together_s - (time.monotonic() - begin)))
        print(f"{step.name}: {outcomes[-1].result}, {outcomes[-1].seconds:.0f} s", flush=True)
        kept = {"card": name, "torch": str(torch.__version__), "steps": [asdict(one) for one in outcomes]}
        write_text(folder / "results.json", json.dumps(kept, indent=1) + "\n")
    return outcomes


def main(arguments: list[str]) -> int:
    """0 if every step is ok."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/gpu-check"), help="where results go (default: build/gpu-check)")
    parser.add_argument("--only", default="", help="names of steps, separated by commas (default: all)")
    asked = parser.parse_args(arguments)
    names = asked.only.split(",") if asked.only else [step.name for step in STEPS]
    if unknown := set(names) - {step.name for step in STEPS}:
        parser.error(f"no step is called {', '.join(sorted(unknown))}; there are {', '.join(step.name for step in STEPS)}")
    card = torch.cuda.is_available()
    print("with a card" if card else "without a card: small shapes, Triton's programs in its interpreter")
    outcomes = run_all([step for step in STEPS if step.name in names], card, asked.out.absolute())
    print(f"results: {asked.out / 'results.json'}")
    return int(any(one.result != "ok" for one in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
