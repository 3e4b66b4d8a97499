"""`rankbench submit`: rows of the public leaderboard, made of a results folder."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from .options import add_roots
from .parser import Parser
from .roots import data_roots

HELP = """\
Make rows of the public leaderboard of the runs in a results folder, self-reported: one for each model under one configuration,
with all of its seeds. A row holds its numbers with intervals, the hashes of the files that it stands on, and what is claimed
against the track's reference by the paired interval. Rows are never edited: a correction is a new row (--replaces, --reason).
The data set must be here. Exit code 1 if no row was made."""

EXAMPLES = (
    "rankbench submit results/mine --by 'A. Person'",
    "rankbench submit results/mine --by 'A. Person' --models mine --division open",
    "rankbench submit results/mine --by 'A. Person' --models mine --replaces 0123456789abcdef --reason 'other kernels'",
)


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a results folder: records in runs/, scores beside them")
    add_who(parser, "submits")
    parser.add_argument(
        "--division",
        choices=("closed", "open"),
        default="closed",
        metavar="NAME",
        help="closed: our split, fields and budget; open: any fields, your own budget (default: closed)",
    )
    parser.add_argument("--replaces", metavar="ROW", help="the row that the new one corrects, by its 16 hexadecimal digits")
    parser.add_argument("--reason", metavar="TEXT", help="why it does; goes with --replaces")


def add_who(parser: Parser, does: str) -> None:
    """What submit and verify share: who, of which models, on which board."""
    parser.add_argument("--by", required=True, metavar="NAME", help=f"who {does}; stands in the row for good")
    parser.add_argument("--models", metavar="NAMES", help="only these models, separated by commas (default: all that are there)")
    parser.add_argument(
        "--board",
        type=Path,
        default=Path("results/public"),
        metavar="DIR",
        help="the folder of the leaderboard, within the results that hold its references (default: results/public)",
    )
    add_roots(parser)


def models_of(text: str | None) -> tuple[str, ...]:
    """The names of --models; none if it was not given."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def run(args: argparse.Namespace) -> int:
    from ..errors import UserError

    if (args.replaces is None) != (args.reason is None):
        raise UserError("--replaces and --reason go together: which row is corrected, and why")
    roots = data_roots(args.data_root)
    from ..public.board import read
    from ..public.entrant import reference
    from ..public.submission import Submission, submit, view_of
    from ..rows import restored

    asked = Submission(args.by, args.division, models_of(args.models), args.replaces, args.reason or "")
    view = restored(view_of(args.folder, read(args.board)), roots)
    written, told = submit(
        view, args.board, functools.cache(lambda track: restored(reference(track, args.board.parent), roots)), asked
    )
    for line in told:
        print(f"no row: {line}")
    for path in written:
        print(f"written: {path}")
    return int(not written)
