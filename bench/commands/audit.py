"""`rankbench audit`: whether the intervals hold what they promise."""

from __future__ import annotations

import argparse
import sys

from .options import add_results, add_roots
from .parser import Parser
from .roots import data_roots

HELP = """\
Measure how often 95% intervals hold the truth: by simulation, with users of real sizes and two, three and five seeds; and on the
runs below a results folder, where every model with five seeds is compared with itself. Takes half an hour, prints two tables
and writes them, with all numbers, into the folder audit/ of the results. What this program has simulated is not repeated."""

EXAMPLES = ("rankbench audit statistics", "rankbench audit statistics --tests 0 --results my/results")


def add(parser: Parser) -> None:
    parser.add_argument("what", choices=("statistics",), help="what to audit: statistics")
    parser.add_argument(
        "--tests",
        type=int,
        default=400,
        metavar="N",
        help="how many tests of each kind are simulated; 0: no more than there are (default: 400)",
    )
    parser.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or the YAML file of your own table")
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    from ..errors import UserError

    if args.tests < 0:
        raise UserError(f"--tests {args.tests} must be 0 or more")
    roots = data_roots(args.data_root)
    from ..audit.intervals import audit
    from ..reporting.audit_page import to_markdown

    found, paths = audit(args.results, args.tests, roots, args.dataset, lambda line: print(line, file=sys.stderr))
    print(to_markdown(found), end="")
    print(f"written: {', '.join(map(str, paths))}")
    return 0
