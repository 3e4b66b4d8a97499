"""`rankbench peers quality`: how well our models rank beside FuxiCTR's."""

from __future__ import annotations

import argparse
import os
import sys

from ..options import add_results, add_roots, add_seeds, add_threads
from ..parser import Parser
from ..roots import data_roots
from ..values import positive, share
from .fuxictr import add_fuxictr

HELP = """\
Compare AUC, GAUC and logloss of DIN, DIEN and BST with FuxiCTR's under its own trainer, with intervals and a verdict;
docs/results/peers.md says how."""

EXAMPLES = (
    "rankbench peers quality --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python",
    "rankbench peers quality --models-from FuxiCTR/model_zoo --models din --dropout 0 0.2 --seeds 5",
)


def add(parser: Parser) -> None:
    parser.add_argument("--dataset", default="ml-100k", metavar="NAME", help="a name or a YAML file (default: ml-100k)")
    parser.add_argument("--split", default="chrono-rank", metavar="NAME", help="how the rows are divided (default: chrono-rank)")
    parser.add_argument(
        "--models", default="din,dien,bst", metavar="NAMES", help="some of din, dien and bst, separated by commas (default: all)"
    )
    parser.add_argument(
        "--dropout",
        type=share,
        nargs="+",
        default=[0.0],
        metavar="P",
        help="the dropout of FuxiCTR's models (default: 0, as shipped)",
    )
    add_seeds(parser)
    add_fuxictr(parser, required=True)
    parser.add_argument("--jobs", type=positive, metavar="N", help="how many runs are trained at a time (default: one per core)")
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from ...peers import fuxictr, quality
    from ...records.store import Store

    models = tuple(dict.fromkeys(args.models.split(",")))
    peer = fuxictr.find_peer(args.python, args.models_from, models)
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
    except fuxictr.PeerFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(*quality.lines(record), sep="\n")
    print(f"\nrecord: {quality.write(record, store.root)}")
    return 0
