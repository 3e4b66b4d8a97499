"""`rankbench check`: whether a folder of somebody's runs can stand beside ours."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from .options import add_roots
from .parser import Parser
from .roots import data_roots
from .values import positive, whole

HELP = """\
Check a results folder that somebody contributes, and name what is wrong in it, one line each; exit code 1 if anything is.
Every record is read strictly; settings, costs, curves, seeds, scores and sweeps must fit each other, and the commit must be in
this repository. Where the data set is here, facts, floors, metrics, sizes and steps are computed again; that writes the test rows
below DIR/rows. What no check can find is printed at the end; training again (--retrain) is what proves most."""

EXAMPLES = (
    "rankbench check results",
    "rankbench check their/results --dataset my.yaml",
    "rankbench check their/results --retrain 3",
)


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a results folder: records in runs/, scores beside them")
    parser.add_argument("--dataset", metavar="FILE", help="the YAML file of your own table, if the folder has runs on one")
    parser.add_argument(
        "--retrain",
        type=positive,
        metavar="N",
        help="train N runs again, chosen at random, from what their records say, and compare the scores",
    )
    parser.add_argument(
        "--choice", type=whole, metavar="SEED", help="the seed by which --retrain chooses (default: a new one, which is printed)"
    )
    add_roots(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from ..audit.finding import LIMITS
    from ..audit.folder import AuditMeans, check
    from .options import refuse_beside

    if args.retrain is None:
        refuse_beside(args, "check without --retrain", {"--choice"})
    # Whoever makes a folder up shall not know which of its runs will be trained again.
    choice = args.choice if args.choice is not None else secrets.randbelow(2**31)

    def told(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\x1b[2K{line}", end="\r", file=sys.stderr, flush=True)

    findings = check(args.folder, AuditMeans(roots, args.dataset, args.retrain or 0, choice, told))
    told("")
    print("\n".join(map(str, findings)))
    if args.retrain is not None:
        print(f"trained again: {args.retrain} at most, chosen by --choice {choice}")
    print("What no check can find:", *(f"- {line}" for line in LIMITS), sep="\n")
    return int(any(finding.kind == "wrong" for finding in findings))
