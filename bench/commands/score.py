"""`rankbench score`: metrics once more, from stored scores alone, held against the records."""

from __future__ import annotations

import argparse

from .options import add_results, add_roots
from .parser import Parser
from .roots import data_roots

HELP = "Compute metrics once more from stored scores, and compare them with those of the records."

EXAMPLES = ("rankbench score", "rankbench score --results my/results")


def add(parser: Parser) -> None:
    parser.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or the YAML file of your own table")
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from .. import rows
    from ..analysis.recompute import rescore
    from ..data.sources import DATASETS, name_of
    from ..records.store import Store
    from ..records.view import View

    store = Store(args.results)
    view = View.of(store, args.dataset and name_of(args.dataset))
    rows.restore(view, roots, None if args.dataset in DATASETS else args.dataset)
    lines = rescore(view)
    print("\n".join(lines))
    print(f"{len(lines)} runs recomputed; records and scores are in {store.root / 'runs'}")
    return 0
