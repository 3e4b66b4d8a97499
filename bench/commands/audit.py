"""`rankbench audit`: whether the intervals hold what they promise."""

from __future__ import annotations

import argparse
import sys

from .options import add_results, add_roots
from .parser import Parser
from .roots import data_roots

HELP = """\
Measure how often 95% intervals hold the truth: by simulation, with users of real sizes and two, three and five seeds; and on the
runs of a results folder, where every model with five seeds is compared with itself. Takes minutes; prints two tables and writes
them, with all numbers, into the folder audit/ of the results."""

EXAMPLES = ("rankbench audit statistics", "rankbench audit statistics --tests 0 --results my/results")


def add(parser: Parser) -> None:
    parser.add_argument("what", choices=("statistics",), help="what to audit: statistics")
    parser.add_argument(
        "--tests", type=int, default=400, metavar="N", help="how many tests of each kind are simulated; 0: none (default: 400)"
    )
    parser.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or the YAML file of your own table")
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    from ..errors import UserError

    if args.tests < 0:
        raise UserError(f"--tests {args.tests} must be 0 or more")
    roots = data_roots(args.data_root)
    from .. import rows
    from ..data.sources import DATASETS, name_of
    from ..records.store import Store
    from ..records.view import View
    from ..reporting import audit_page

    store = Store(args.results)
    view = View.of(store, args.dataset and name_of(args.dataset))
    rows.restore(view, roots, None if args.dataset in DATASETS else args.dataset)
    found = audit_page.audit(view, args.tests, lambda line: print(line, file=sys.stderr))
    paths = audit_page.write(found, store.root / "audit")
    print(audit_page.to_markdown(found), end="")
    print(f"written: {', '.join(map(str, paths))}")
    return 0
