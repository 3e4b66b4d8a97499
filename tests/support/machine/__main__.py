"""python -m support.machine --rounds 42: commands that lack space, rights, memory, speed, a clock or solitude; 1 for a fault."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m support.machine")
    parser.add_argument("--rounds", type=int, default=28, help="in all, kinds of lack and scenarios in turn")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first round; each round has the next")
    parser.add_argument("--only", help="scenarios, with commas between them")
    parser.add_argument("--kinds", help="of lack, with commas between them")
    args = parser.parse_args()
    place = os.environ.get("FAULT_PLACE")
    if place is None:
        return _beneath_the_shim()
    from support.kills.rounds import Round, Straight, straight
    from support.kills.scenarios import SCENARIOS
    from support.kills.started import preload

    from .lacking import KINDS, play

    chosen = [one for one in SCENARIOS if args.only is None or one.name in args.only.split(",")]
    kinds = [one for one in KINDS if args.kinds is None or one in args.kinds.split(",")]
    if not chosen or not kinds:
        parser.error(f"--only knows {', '.join(one.name for one in SCENARIOS)}; --kinds {', '.join(KINDS)}")
    preload()
    rounds: list[tuple[str, Round]] = []
    base: dict[str, Straight] = {}
    began = time.monotonic()
    for at in range(args.rounds):
        kind, scenario, seed = kinds[at % len(kinds)], chosen[at // len(kinds) % len(chosen)], args.first + at
        if scenario.name not in base:
            base[scenario.name] = straight(scenario, Path(place) / scenario.name / "straight")
        found, ended = play(base[scenario.name], kind, seed, Path(place) / scenario.name / f"{kind.replace(' ', '-')}-{seed}")
        rounds.append((kind, found))
        print(f"{scenario.name}, {kind}, seed {seed}: {ended[:200]}", flush=True)
        for what in ("lost", "unequal", "left"):
            for name in getattr(found.difference, what):
                print(f"  {what}: {name}")
        for line in found.wrong:
            print(f"  {line}")
    for kind in kinds:
        mine = [found for one, found in rounds if one == kind]
        print(f"{kind}: {len(mine)} rounds, {sum(not found.held for found in mine)} with a fault")
    faults = sum(not found.held for _, found in rounds)
    print(f"all, {time.monotonic() - began:.0f} s: {len(rounds)} rounds, {faults} with a fault")
    return 1 if faults else 0


def _beneath_the_shim() -> int:
    """The same command once more, in a process that has the shim below it from its start."""
    import subprocess

    from .lacking import compiled

    with tempfile.TemporaryDirectory(prefix="machine-", ignore_cleanup_errors=True) as place:
        try:
            library = compiled(Path(place))
        except RuntimeError as error:
            print(f"skipped: {error}")
            return 77
        environment = {**os.environ, "LD_PRELOAD": str(library), "FAULT_PLACE": place, "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-m", "support.machine", *sys.argv[1:]], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
