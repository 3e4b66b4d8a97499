"""`rankbench board`: tables and figures from stored records and scores; nothing is trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import protocols
from ..errors import UserError
from .options import add_protocol, add_results, add_roots, add_target, refuse_beside
from .parser import Parser
from .roots import data_roots

if TYPE_CHECKING:
    from rich.console import Console

    from ..analysis.leaderboard import Board
    from ..data.dataset import RankingData
    from ..data.sources.schema import DataRoots
    from ..protocols import Protocol
    from ..records.schema import RunRecord
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
        and (protocol is None or protocol.followed(group.records[0].config))
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
    from rich.console import Console

    from ..reporting import board_files

    board, folder = write(group, roots, source)
    console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe or a file has room for every column
    board_files.show(board, console)
    console.print(f"leaderboard, tables and figures: {folder}", highlight=False, soft_wrap=True)
    return folder


def check_stream_options(args: argparse.Namespace, dataset: str | None) -> None:
    """Raises UserError: --target or --envelope without a protocol that makes use of them, or no target where one is needed."""
    protocol = protocols.find(args.protocol) if args.protocol is not None else None
    if protocol is None or protocol.score != "to-target":
        named = ", ".join(one.name for one in protocols.PROTOCOLS.values() if one.score == "to-target")
        refuse_beside(args, f"what is not under a protocol that goes through time ({named})", ("--target", "--envelope"))
    elif args.target is None and dataset is not None and dataset not in protocol.targets:
        raise UserError(f"protocol {protocol.name} has no target for {dataset}; name one with --target AUC")


def show_score(args: argparse.Namespace, group: View, roots: DataRoots, source: str | None) -> None:
    """Show what the protocol that was asked for reports of each row of a board that was made."""
    from rich.console import Console

    from ..reporting import protocol_scores

    protocol, console = protocols.find(args.protocol), Console(width=None if sys.stdout.isatty() else 160)
    if protocol.score == "to-target":
        _publish_stream(args, protocol, group, roots, source, console)
    else:
        protocol_scores.show(protocol, group, console)


def _publish_stream(
    args: argparse.Namespace, protocol: Protocol, group: View, roots: DataRoots, source: str | None, console: Console
) -> None:
    """Show what passes through time took to reach the target, write it with its figure, and say where."""
    from .. import rows
    from ..analysis import stream
    from ..data.sources import DATASETS
    from ..records.store import Store
    from ..records.view import View
    from ..reporting import stream_files

    dataset = group.records[0].identity.dataset
    check_stream_options(args, dataset)
    if args.target is not None:
        target = (float(args.target), "as the command says")
    else:
        target = (protocol.targets[dataset].auc, protocol.targets[dataset].why)
    file = None if source in DATASETS else source

    def data_of(record: RunRecord) -> RankingData:
        return rows.data_of(record.config["data"], roots, f"a run of {record.identity.model}", file)

    envelope = None
    if args.envelope is not None:
        envelope = View.of(Store(args.envelope), dataset, group.records[0].identity.split)
    board = stream.build(group, protocol.name, target, data_of, envelope)
    folder = group.store.stream_folder(group.place)
    stream_files.write(board, folder)
    stream_files.show(board, console)
    for line in (protocol.summary, *(f"differs: {one}" for one in protocol.differs)):
        console.print(f"- {line}", highlight=False, markup=False)
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
