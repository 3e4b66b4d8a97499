"""`rankbench board`: tables and figures from stored records and scores; nothing is trained."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .. import protocols
from ..errors import UserError
from .options import add_protocol, add_results, add_roots, add_target
from .parser import Parser
from .roots import data_roots
from .streams import asked_target, check_stream_options, write_stream

if TYPE_CHECKING:
    from ..analysis.leaderboard import Board
    from ..data.sources.schema import DataRoots
    from ..records.view import View


HELP = "Make leaderboards and their figures from stored runs; nothing is trained."

EXAMPLES = (
    "rankbench board",
    "rankbench board --dataset ml-100k --split global-time",
    "rankbench board --protocol kuairand-long-view",
    "rankbench board --protocol dlrmv4-mini --dataset ml-1m --target 0.78",
)


def add(parser: Parser) -> None:
    parser.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or the YAML file of your own table")
    parser.add_argument("--split", metavar="NAME", help="only this split")
    add_protocol(parser, "only what follows it, with its score")
    add_target(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from ..data.sources import name_of
    from ..records.store import Store
    from ..records.view import View

    store = Store(args.results)
    name = args.dataset and name_of(args.dataset)
    protocol = protocols.find(args.protocol) if args.protocol is not None else None
    check_stream_options(args, name)
    view = View.of(store)
    chosen = [
        group
        for group in view.groups()
        if name in (None, group.records[0].identity.dataset)
        and args.split in (None, group.records[0].identity.split)
        and (protocol is None or protocol.followed_by_some(one.config for one in group.records))
    ]
    if not chosen:
        held = ", ".join(group.place for group in view.groups()) or "no run at all"
        raise UserError(f"no run matches in {store.root} (it holds {held}); start with: rankbench run")
    for group in chosen:
        publish(group, roots, args.dataset)
        if protocol is not None:
            show_score(args, group, roots, args.dataset)
    return 0


def publish(group: View, roots: DataRoots, source: str | None = None) -> Path:
    """Show the board of a group of runs, write it with its figures, and say where.

    Args:
        source: a name, or the YAML file of one's own table.

    Returns:
        The folder that was written.
    """
    from ..reporting import board_files
    from .console import table_console

    board, folder = write(group, roots, source)
    console = table_console()
    board_files.show(board, console)
    console.print(f"leaderboard, tables and figures: {folder}", highlight=False, soft_wrap=True)
    return folder


def show_score(args: argparse.Namespace, group: View, roots: DataRoots, source: str | None) -> None:
    """Show what the protocol that was asked for reports of each row of a board that was made.

    Args:
        source: a name, or the YAML file of one's own table.
    """
    from ..reporting import protocol_scores, stream_files
    from .console import table_console

    protocol, console = protocols.find(args.protocol), table_console()
    if protocol.score != "to-target":
        protocol_scores.show(protocol, group, console)
        return
    board, folder = write_stream(group, protocol.name, asked_target(args, group), args.envelope, roots, source)
    stream_files.show(board, console)
    protocol_scores.about(protocol, console)
    console.print(f"curves, table and figure: {folder}", highlight=False, soft_wrap=True)


def write(group: View, roots: DataRoots, source: str | None = None) -> tuple[Board, Path]:
    """The board of a group of runs and its folder, with all files in it; see `publish`."""
    from .. import rows
    from ..analysis import leaderboard
    from ..analysis.details import details
    from ..data.sources import DATASETS
    from ..reporting import board_files, figures

    rows.restore(group, roots, None if source in DATASETS else source)
    board, folder = leaderboard.build(group), group.store.board_folder(group.place)
    board_files.write(board, folder)
    figures.write(board, details(group, board), folder)
    return board, folder
