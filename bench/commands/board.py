"""`rankbench board`: tables and figures from stored records and scores; nothing is trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .options import add_results, add_roots
from .parser import Parser
from .roots import data_roots

if TYPE_CHECKING:
    from ..data.sources.schema import DataRoots
    from ..records.store import Store


HELP = "Make leaderboards and their figures from stored runs; nothing is trained."

EXAMPLES = ("rankbench board", "rankbench board --dataset ml-100k --split global-time")


def add(parser: Parser) -> None:
    parser.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or the YAML file of your own table")
    parser.add_argument("--split", metavar="NAME", help="only this split")
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from ..data.sources import name_of
    from ..records.store import Store

    store = Store(args.results)
    known = store.boards()
    name = args.dataset and name_of(args.dataset)
    chosen = [(dataset, split) for dataset, split in known if name in (None, dataset) and args.split in (None, split)]
    if not chosen:
        held = ", ".join(f"{dataset}@{split}" for dataset, split in known) or "no run at all"
        raise UserError(f"no run matches in {store.root} (it holds {held}); start with: rankbench run")
    for dataset, split in chosen:
        publish(store, args.dataset or dataset, split, roots)
    return 0


def publish(store: Store, dataset: str, split: str, roots: DataRoots) -> Path:
    """Show the board of one data set and split, write it with its figures, and say where.

    Args:
        dataset: a name, or the YAML file of one's own table.

    Returns:
        The folder that was written.
    """
    from rich.console import Console

    from .. import rows
    from ..data.sources import name_of
    from ..reporting import leaderboard, plots, tables
    from ..reporting.details import details

    rows.restore(store, roots, dataset, split)
    dataset = name_of(dataset)
    board = leaderboard.build(store, dataset, split)
    console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe or a file has room for every column
    tables.show(board, console)
    folder = store.board_folder(dataset, split)
    tables.write(board, folder)
    plots.write(board, details(store, board), folder)
    console.print(f"leaderboard, tables and figures: {folder}", highlight=False, soft_wrap=True)
    return folder
