"""`rankbench report`: one page of everything in a results folder; nothing is recomputed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import UserError
from .options import add_results
from .parser import Parser

HELP = """\
Write one page that needs no network: the answers of all boards in a picture and a table, then each board's leaderboard,
figures, protocol, hashes and commands, and the studies and sweeps beside it. It is made from the files of the folder and of
stores below it; rankbench board makes those, and the page shows figures from where they lie."""

EXAMPLES = (
    "rankbench report",
    "rankbench report --results results --out report.html",
    "rankbench report --results results --markdown --out LEADERBOARD.md",
    "rankbench report --results results --public --out docs/results/public_board.md",
)


def add(parser: Parser) -> None:
    parser.add_argument("--markdown", action="store_true", help="write the answers of all boards in Markdown, not the HTML page")
    parser.add_argument(
        "--public",
        action="store_true",
        help="write the page of the public leaderboard of the folder, in Markdown, and nothing else",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the file (default: report.html or LEADERBOARD.md in the results folder, or docs/results/public_board.md)",
    )
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    if args.markdown and args.public:
        raise UserError("--markdown and --public are two pages; write one at a time")
    usual = args.results / ("LEADERBOARD.md" if args.markdown else "report.html")
    out = args.out or (Path("docs/results/public_board.md") if args.public else usual)
    if (out.suffix == ".md") != (args.markdown or args.public):
        raise UserError(f"--out {out}: a name that ends in .md goes with --markdown or --public, any other without them")
    if args.public:
        return _public(args.results, out)
    from ..atomic import write_text
    from ..reporting import html, leaderboard_page, results_folder

    found = results_folder.collect(args.results)
    if args.markdown:
        folder = Path(os.path.relpath(args.results, out.parent)).as_posix()
        write_text(out, leaderboard_page.to_markdown(found, folder))
    else:
        write_text(out, html.to_html(found, args.results.resolve().name, out.parent))
    print(f"boards: {len(found.boards)}, studies: {len(found.studies)}, sweeps: {len(found.sweeps)}; {out}")
    return 0


def _public(results: Path, out: Path) -> int:
    import datetime

    from ..atomic import write_text
    from ..audit.public_board import FOLDER
    from ..public.board import read
    from ..reporting import public_page

    board = read(results / FOLDER)
    folder = Path(os.path.relpath(results / FOLDER, out.parent)).as_posix()
    write_text(out, public_page.to_markdown(board, folder, datetime.datetime.now(datetime.UTC).date()))
    print(f"rows: {len(board.rows)}; {out}")
    return 0
