"""`rankbench bench`: our models beside those of other projects, by speed (peers) or by quality (quality)."""

from __future__ import annotations

import argparse
import os
import sys

from ..errors import UserError
from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    return _quality(args) if args.against == "quality" else _peers(args)


def _peers(args: argparse.Namespace) -> int:
    """Speeds are printed, never judged."""
    roots = data_roots(args.data_root)
    import torch

    from ..benchmarks import peers

    torch.set_num_threads(args.threads)
    print(f"{args.dataset}, history {args.history_length}, batch {peers.BATCH}, embedding {peers.EMBEDDING}; ", end="")
    print(f"{args.threads} thread(s) on the CPU, {args.rounds} round(s); median [smallest, largest] of the ratios per round")
    print(*peers.lines(peers.compare(roots, args.dataset, args.history_length, args.rounds)), sep="\n")
    return 0


def _quality(args: argparse.Namespace) -> int:
    if args.models_from is None:
        raise UserError("bench quality needs --models-from, the folder model_zoo of a FuxiCTR checkout; see docs/peers.md")
    roots = data_roots(args.data_root)
    from ..benchmarks import fuxictr_cells, quality
    from ..records.store import Store

    models = tuple(dict.fromkeys(args.models.split(",")))
    peer = fuxictr_cells.find_peer(args.python, args.models_from, models)
    jobs = args.jobs or max(1, (os.cpu_count() or 1) // args.threads)
    store = Store(args.results)
    try:
        record = quality.compare(
            roots,
            args.dataset,
            args.split,
            models,
            peer,
            quality.arms_of(args.dropout),
            args.seeds,
            store,
            jobs,
            args.threads,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except fuxictr_cells.PeerFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(*quality.lines(record), sep="\n")
    print(f"\nrecord: {quality.write(record, store.root)}")
    return 0
