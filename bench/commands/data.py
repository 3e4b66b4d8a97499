"""`rankbench data`: fetch and convert a data set, say what is in it or wrong with it, or propose the description of a file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import UserError
from .options import add_results, add_roots
from .parser import Parser
from .roots import data_roots

if TYPE_CHECKING:
    from ..data.eventlog import EventLog
    from ..data.sources.schema import DataRoots


HELP = "Fetch a data set and convert it, say what is in it or wrong with it, or propose the YAML file for a table of your own."

EXAMPLES = (
    "rankbench data get ml-100k",
    "rankbench data describe kuairand-pure --data-root my/data",
    "rankbench data check my.yaml",
    "rankbench data init ratings.csv movies.csv",
    "rankbench data init clicks/",
)


_NAMED = "a name that `rankbench ls datasets` shows, or a YAML file for your own table"


def add(parser: Parser) -> None:
    verbs = parser.add_verbs("action")
    for verb, summary in (
        ("get", "fetch a data set and convert it"),
        ("describe", "say what is in it: size, splits, licence and more"),
    ):
        one = verbs.add_parser(verb, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        one.add_argument("name", metavar="NAME", help=_NAMED)
        add_roots(one)
    check = verbs.add_parser(
        "check",
        help="look for what is wrong with it: ties, repeats, leaks, drift and more",
        description="Look for what is wrong with a data set, say what to do about it, and write a page of it. Exit code 1 if "
        "something serious was found.",
    )
    check.add_argument("name", metavar="NAME", help=_NAMED)
    check.add_argument("--split", metavar="NAME", help="the split whose training and test are compared (default: its own)")
    check.add_argument("--to", type=Path, metavar="FILE", help="the page (default: NAME-check.md in the folder of --results)")
    add_roots(check)
    add_results(check)
    init = verbs.add_parser(
        "init",
        help="look at files of your own and propose the YAML file that describes them",
        description="Look at files of your own and propose the YAML file that describes them, guesses marked. Of a folder, files "
        "of equal columns are one table.",
    )
    init.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a table of events, and tables of its users or items; or a folder"
    )
    init.add_argument("--to", type=Path, metavar="YAML", help="the file to write (default: beside the first, with its name)")
    init.add_argument("--force", action="store_true", help="replace the file if it is there")


def run(args: argparse.Namespace) -> int:
    return {"init": _init, "check": _check}.get(args.action, _open)(args)


def _check(args: argparse.Namespace) -> int:
    from ..atomic import write_text
    from ..config import DataConfig
    from ..data.dataset import prepare
    from ..inspection.inspect import inspect
    from ..reporting.inspection_page import to_lines, to_markdown

    data = prepare(DataConfig(args.name, split=args.split or "default"), data_roots(args.data_root))
    faults = inspect(data)
    print("\n".join(to_lines(faults)))
    page = args.to or args.results / f"{data.log.meta.name}-check.md"
    split = f" --split {args.split}" if args.split else ""
    write_text(page, to_markdown(data, faults, f"rankbench data check {Path(args.name).name}{split}"))
    print(f"page: {page}")
    return int(any(fault.severity == "serious" for fault in faults))


def _init(args: argparse.Namespace) -> int:
    from ..data.proposal.text import propose, write_proposal

    target = args.to or _beside(args.files[0])
    proposal = propose(args.files, target)
    write_proposal(proposal, target, args.force)
    for said in proposal.guessed:
        print(f"guessed: {said}")
    for said in proposal.left_out:
        print(f"left out: {said}")
    for said in proposal.open:
        print(f"not guessed, fill it in: {said}")
    print(f"written: {target}; look at every line, then: rankbench data describe {target}")
    return 0


def _beside(first: Path) -> Path:
    """The YAML file that is called like a file or folder; that of the working folder lies within it."""
    whole = first.absolute()
    stem = f"{Path(os.path.normpath(whole)).name.split('.')[0] or 'data'}.yaml"
    inside = first.is_dir() and first.resolve() == Path.cwd()
    return first / stem if inside or first.name in ("", "..") else first.with_name(stem)


def _open(args: argparse.Namespace) -> int:
    from ..data.description import describe
    from ..data.logs import open_dataset

    roots = data_roots(args.data_root)
    log = open_dataset(args.name, roots)
    if args.action == "describe":
        print("\n".join(describe(args.name, roots)))
        _print_windows(log)
        _print_selection_effect(args.name, roots)
    else:
        print(f"{log.meta.name}: {log.meta.events:,} events of {log.meta.users:,} users and {log.meta.items:,} items")
        for file in log.meta.files:
            print(f"from {file.origin}: {file.name}, sha256 {file.sha256}")
        print(f"licence: {log.meta.licence}")
    print(f"converted event log: {log.folder}")
    return 0


def _print_windows(log: EventLog) -> None:
    from ..evaluation.comparable import about_windows

    print("\n".join(about_windows(log, log.meta.default_split)))


def _print_selection_effect(name: str, roots: DataRoots) -> None:
    from ..config import DataConfig
    from ..data.dataset import prepare
    from ..evaluation.selection import selection_effect

    print(
        "the user's own past rate as a score of the test examples, by what they see of the test period (docs/ideas/requests.md):"
    )
    histories: tuple[Literal["live", "frozen"], ...] = ("live", "frozen")
    for history in histories:
        try:
            found = selection_effect(prepare(DataConfig(name, test_history=history), roots))
        except UserError as error:  # an impossible split leaves the rest to be said
            print(f"  {history}: {error}")
            continue
        print(
            f"  {history}: AUC {found.auc:.3f}, within users {found.user_gauc:.3f}, within requests {found.request_gauc:.3f}; "
            f"labels exchanged within each user: {found.user_gauc_exchanged:.3f} ({found.rows_per_user:.1f} test examples per "
            "user with both labels)"
        )
