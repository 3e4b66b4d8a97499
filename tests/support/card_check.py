"""What runs everything that a card has to show, step by step (gpu_check, npu_check).

The steps are data: what is run with a card, and the same on small shapes without one, so that nothing fails for the first time on
the card. A step has a limit of its own and runs whatever became of those before it. Results are kept after every step in
results.json of the folder that is named, beside what each step printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rankbench.bench.atomic import write_text
from support.tables import click_table

ALL_TOGETHER_S = 530.0
"""Of a part: nine minutes, less what it takes to begin and to end."""


LEFT_OUT = 75
"""The exit code of a step whose data are not here and cannot be fetched (EX_TEMPFAIL)."""

GRACE_S = 5.0
"""For a step that has run too long, to end by itself."""

ROOT = Path(__file__).parents[2]
"""Of the project: commands name its tests by their paths, and modules of its tests folder."""


@dataclass(frozen=True)
class Step:
    """One thing to show."""

    name: str
    on_card: str
    """What Python is given; {folder} stands for the results folder."""
    small: str
    """The same without a card; {table} stands for a small table of one's own."""
    limit_s: float
    part: int = 1
    """Of the parts, of under nine minutes each, that may be run one by one."""
    decides: bool = False
    """It belongs to what is asked first, as part 0, where there are nine minutes alone."""
    needs: str = ""
    """The step whose results it reads; wherever it runs, that one runs before it."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    name: str
    result: str
    """ok, left out (what it needs is not here), failed, too long (what it had kept by then is there) or no time left"""
    seconds: float
    command: str
    said: list[str]
    """The last lines that it printed."""


def run_step(step: Step, card: bool, folder: Path, table: Path, left_s: float) -> Outcome:
    """One step in a process group of its own, which ends with the limit; what it prints goes to NAME.log of the folder."""
    command = (step.on_card if card else step.small).format(folder=folder, table=table)
    limit = min(step.limit_s, left_s)
    if limit <= 0:
        return Outcome(step.name, "no time left", 0.0, command, [])
    log = folder / f"{step.name}.log"
    path = os.pathsep.join(filter(None, [str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    begin = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *shlex.split(command)], stdout=out, stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        try:
            result = {0: "ok", LEFT_OUT: "left out"}.get(process.wait(limit), "failed")
        except subprocess.TimeoutExpired:
            result = "too long"
            # First so that those can end who have started processes in sessions of their own, as torchrun does.
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = log.read_text(errors="replace").splitlines()
    return Outcome(step.name, result, round(time.monotonic() - begin, 1), command, lines[-12:])


def belongs(step: Step, part: int | None) -> bool:
    """Whether a step is of a part; None: of any."""
    return step.decides if part == 0 else part in (None, step.part)


def with_needed(chosen: Collection[str], steps: Sequence[Step]) -> list[Step]:
    """The steps of these names and those whose results they read, in the order of all."""
    wanted = set(chosen) | {step.needs for step in steps if step.name in chosen}
    return [step for step in steps if step.name in wanted]


def run_all(steps: Sequence[Step], card: str | None, folder: Path, all_together_s: float = ALL_TOGETHER_S) -> list[Outcome]:
    """Every step in turn; results.json of the folder is written after each.

    Args:
        card: its name; None: there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = click_table(folder, rows=120)
    begin, outcomes = time.monotonic(), []
    for step in steps:
        print(f"{step.name} ...", flush=True)
        left = all_together_s - (time.monotonic() - begin)
        outcomes.append(run_step(step, card is not None, folder, table, left))
        print(f"{step.name}: {outcomes[-1].result}, {outcomes[-1].seconds:.0f} s", flush=True)
        kept = {"card": card, "torch": str(torch.__version__), "steps": [asdict(one) for one in outcomes]}
        write_text(folder / "results.json", json.dumps(kept, indent=1) + "\n")
    return outcomes


def check(arguments: list[str], steps: Sequence[Step], card: str | None, folder: str, without: str) -> int:
    """The command: 0 if every step is ok.

    Args:
        folder: where results go unless another one is named.
        without: what runs where there is no card, in words.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(folder), help=f"where results go (default: {folder})")
    parser.add_argument("--only", default="", help="names of steps, separated by commas (default: all)")
    parts = [*([0] if any(step.decides for step in steps) else []), *sorted({step.part for step in steps})]
    parser.add_argument("--part", type=int, choices=parts, help="this part alone; 0: what decides, of all parts (default: all)")
    asked = parser.parse_args(arguments)
    names = asked.only.split(",") if asked.only else [step.name for step in steps if belongs(step, asked.part)]
    if unknown := set(names) - {step.name for step in steps}:
        parser.error(f"no step is called {', '.join(sorted(unknown))}; there are {', '.join(step.name for step in steps)}")
    chosen = with_needed(names, steps)
    print(f"with a card: {card}" if card else f"without a card: {without}")
    count = 1 if asked.part is not None else len({step.part for step in chosen})
    outcomes = run_all(chosen, card, asked.out.absolute(), ALL_TOGETHER_S * count)
    print(f"results: {asked.out / 'results.json'}; what each step printed lies beside it. Please send the whole folder back.")
    return int(any(one.result not in ("ok", "left out") for one in outcomes))
