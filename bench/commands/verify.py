"""`rankbench verify`: rows of the public leaderboard, computed and trained again."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from .parser import Parser
from .roots import data_roots
from .submit import add_who, models_of
from .values import whole

HELP = """\
Verify what somebody submitted: check the results folder as rankbench check does, hold its scores against those that the
repository has, compute every number of its rows again from the stored scores, and write each row anew as recomputed, in the
place of the old one. Takes seconds. With --retrain one seed of each row, chosen at random, is trained again: it must have the
same scores, or lie within the 95% prediction interval of a new seed that the submitted seeds give, by all headline metrics
together, and as near to them as they are to each other; the row is then called retrained. Runs of the closed division that have
no row yet get one. If anything is wrong, no row is written and the exit code is 1."""

EXAMPLES = (
    "rankbench verify results/theirs --by 'B. Reviewer'",
    "rankbench verify results/theirs --by 'B. Reviewer' --models mine --retrain",
)


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a results folder: records in runs/, scores beside them")
    add_who(parser, "verifies")
    parser.add_argument("--retrain", action="store_true", help="train one seed of each row again, chosen at random")
    parser.add_argument(
        "--choice", type=whole, metavar="SEED", help="the seed by which --retrain chooses (default: a new one, which is printed)"
    )


def run(args: argparse.Namespace) -> int:
    from .options import refuse_beside

    if not args.retrain:
        refuse_beside(args, "verify without --retrain", {"--choice"})
    roots = data_roots(args.data_root)
    from ..audit.folder import AuditMeans
    from ..audit.verification import Verifying, verify

    # Whoever makes a folder up shall not know which of its seeds will be trained again.
    choice = args.choice if args.choice is not None else secrets.randbelow(2**31)

    def told(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\x1b[2K{line}", end="\r", file=sys.stderr, flush=True)

    asked = Verifying(args.by, args.retrain, models_of(args.models))
    written, findings = verify(args.folder, args.board, asked, AuditMeans(roots, seed=choice, told=told))
    told("")
    for finding in findings:
        print(finding)
    if args.retrain:
        print(f"seeds to train again were chosen by --choice {choice}")
    for path in written:
        print(f"written: {path}")
    return int(any(finding.kind == "wrong" for finding in findings))
