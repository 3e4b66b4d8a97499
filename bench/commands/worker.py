"""`rankbench worker`: train what a storage holds that is not done yet, on any number of machines."""

from __future__ import annotations

import argparse

from ..errors import UserError
from .following import add_followed, followed
from .options import add_device, add_roots, add_threads, refuse_beside
from .parser import Parser
from .roots import data_roots
from .values import for_cores, whole

HELP = """\
Train what others asked for with --storage and is not done yet: trials of searches (rankbench sweep), cells of runs and studies
(rankbench run, rankbench study). A worker needs the storage and the file system with results and data, nothing else; as many as
there are machines may work at once, come and go. docs/howto/cluster.md says more."""

EXAMPLES = (
    "rankbench sweep --models din,hstu --storage postgresql+psycopg://me@host/studies --hand-out",
    "rankbench worker --storage postgresql+psycopg://me@host/studies --jobs 4",
    "rankbench worker --storage postgresql+psycopg://me@host/studies --wait 600 --device cuda",
    "rankbench worker --storage postgresql+psycopg://me@host/studies --show",
)


def add(parser: Parser) -> None:
    parser.add_argument("--storage", required=True, metavar="URL", help="the database or journal file that holds the work")
    add_device(parser)
    add_threads(parser)
    parser.add_argument(
        "--jobs", type=for_cores, default=1, metavar="N", help="how many trials and cells are trained at a time (default: 1)"
    )
    parser.add_argument(
        "--wait", type=whole, default=0, metavar="S", help="end after so many seconds without work (default: 0, at once)"
    )
    parser.add_argument("--show", action="store_true", help="only show how the work stands; nothing is trained")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_followed(parser)
    add_roots(parser)


def run(args: argparse.Namespace) -> int:
    if args.show:
        refuse_beside(args, "--show", args.given - {"--show", "--storage"})
        return _show(args.storage)
    roots = data_roots(args.data_root)
    from ..runs import processes
    from ..training.display import Display
    from ..workers.worker import Station, ending_politely, work

    station = Station(args.storage, args.device, roots, args.wait)
    with ending_politely(), Display(args.quiet, followed(args).start()) as display:
        died = processes.together(work, station, args.jobs, args.threads, display)
    if died == args.jobs:
        raise UserError("every worker died; the same command goes on with what they left")
    return _show(args.storage)


def _show(storage: str) -> int:
    """A line a study. Exit code 1 if something is not done."""
    from rich.table import Table

    from ..search.storage import open_storage
    from ..workers.standing import standings
    from .console import table_console

    found = list(standings(open_storage(storage)))
    if not found:
        print("nothing was ever asked for here; rankbench sweep and rankbench run do so with --storage")
        return 0
    table = Table()
    numbers = ("asked", "complete", "pruned", "failed", "handed on", "waiting", "running", "dead")
    for column in ("study", *numbers):
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for one in found:
        counts = (one.asked, one.complete, one.pruned, one.failed, one.handed_on, one.waiting, len(one.running), one.dead)
        table.add_row(one.study, *map(str, counts))
    console = table_console()
    console.print(table)
    for one in found:
        for who in one.running:
            print(f"{one.study}: {who}")
    return 1 if any(one.open for one in found) else 0
