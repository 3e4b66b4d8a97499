"""`rankbench bench`: how fast our models train beside those of other projects. Speeds are printed, never judged."""

from __future__ import annotations

import argparse

from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    import torch

    from ..benchmarks import peers

    torch.set_num_threads(args.threads)
    print(f"{args.dataset}, history {args.history_length}, batch {peers.BATCH}, embedding {peers.EMBEDDING}; ", end="")
    print(f"{args.threads} thread(s) on the CPU, {args.rounds} round(s); median [smallest, largest] of the ratios per round")
    print(*peers.lines(peers.compare(roots, args.dataset, args.history_length, args.rounds)), sep="\n")
    return 0
