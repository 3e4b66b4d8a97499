"""python -m support.fuzz --inputs 20000: faults of each target, counted; exit code 1 if there is one."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from .harness import Fault, faults, keep
from .targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m support.fuzz")
    parser.add_argument("--inputs", type=int, default=1000, help="in all, shared by the targets")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first input of each target")
    parser.add_argument("--only", help="one target")
    parser.add_argument("--keep", action="store_true", help="keep the faulty inputs, so that tests try them again")
    args = parser.parse_args()
    chosen = [target for target in TARGETS if args.only in (None, target.name)]
    each = -(-args.inputs // len(chosen))
    found: list[Fault] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(RANKBENCH_CACHE=f"{folder}/cache", TQDM_DISABLE="1")
        for target in chosen:
            began = time.monotonic()
            mine = [
                fault
                for fault in faults(target, Path(folder) / "results-of", ((args.first + n, None) for n in range(each)))
                if fault
            ]
            found += mine
            print(f"{target.name}: {each} inputs, {len(mine)} faults, {time.monotonic() - began:.0f} s", flush=True)
            for kind, fault in {fault.said.strip().splitlines()[-1]: fault for fault in mine}.items():
                print(f"  seed {fault.seed}: {kind}")
                if args.keep:
                    keep(fault)
    print(f"{each * len(chosen)} inputs, {len(found)} faults")
    return 1 if found else 0


sys.exit(main())
