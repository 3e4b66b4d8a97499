"""python -m support.kills --rounds 200: commands killed at random moments, started again, compared; exit code 1 for a fault."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rounds import Round


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m support.kills")
    parser.add_argument("--rounds", type=int, default=18, help="in all, the scenarios in turn")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first round; each round has the next")
    parser.add_argument("--only", help="scenarios, with commas between them")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    from .rounds import Straight, play, straight
    from .scenarios import SCENARIOS
    from .started import preload

    chosen = [one for one in SCENARIOS if args.only is None or one.name in args.only.split(",")]
    if not chosen:
        parser.error(f"--only knows {', '.join(one.name for one in SCENARIOS)}")
    preload()
    rounds: list[Round] = []
    base: dict[str, Straight] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as place:
        for at in range(args.rounds):
            scenario, seed = chosen[at % len(chosen)], args.first + at
            if scenario.name not in base:
                base[scenario.name] = straight(scenario, Path(place) / scenario.name / "straight")
            found = play(base[scenario.name], seed, Path(place) / scenario.name / f"round-{seed}")
            rounds.append(found)
            if not found.held:
                _tell(found)
        _count(rounds, time.monotonic() - began)
    return 0 if all(found.held for found in rounds) else 1


def _tell(found: Round) -> None:
    print(f"{found.scenario}, seed {found.seed} ({', '.join(map(str, found.kills))}):")
    for kind in ("lost", "unequal", "left"):
        for name in getattr(found.difference, kind):
            print(f"  {kind}: {name}")
    for line in found.wrong:
        print(f"  {line}")
    sys.stdout.flush()


def _count(rounds: list[Round], seconds: float) -> None:
    for name in dict.fromkeys(found.scenario for found in rounds):
        _line(name, [found for found in rounds if found.scenario == name])
    _line(f"all, {seconds:.0f} s", rounds)


def _line(name: str, rounds: list[Round]) -> None:
    counts = {kind: sum(len(getattr(found.difference, kind)) for found in rounds) for kind in ("lost", "unequal", "left")}
    landed = sum(found.landed for found in rounds)
    wrong = sum(len(found.wrong) for found in rounds)
    told = f"{counts['lost']} lost, {counts['unequal']} unequal, {counts['left']} left behind, {wrong} otherwise wrong"
    print(f"{name}: {len(rounds)} rounds, {landed} kills, {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
