"""`rankbench study`: a grid of experiments that differ in one thing, then its table, figures and what they show in words."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import registry
from ..studies import catalog
from .options import add_grid, add_storage
from .parser import Parser
from .roots import data_roots
from .running import run_options, shared_with
from .settings import settings_or_tuned

if TYPE_CHECKING:
    from ..studies.output import StudyReport

HELP = """\
Ask one question of many runs: train what is not trained yet, then write a table, figures and what they show in words. A second
call trains nothing and writes the same. `rankbench ls studies` lists the questions; docs/howto/study.md says how to read the
answers."""

EXAMPLES = (
    "rankbench study heads",
    "rankbench study ablation --dataset ml-1m --size full --seeds 5 --device cuda",
    "rankbench study negatives --models din,hstu --seeds 1 --set train.epochs=2",
    "rankbench study embedding --models din,hstu",
    "rankbench study long-history --set data.test_history=frozen --results my/results",
    "rankbench study time --models core",
    "rankbench study cold-start --dataset kuairand-pure --set data.code_method=rq-vae",
    "rankbench study steps --series 'hstu' --dataset my.yaml",
    "rankbench study shift --models din,hstu",
    "rankbench study heads --storage postgresql+psycopg://me@host/studies --results /shared/results",
    "rankbench study scaling --dataset ml-1m --size full --models din,hstu --series '* data'",
)


def add(parser: Parser) -> None:
    parser.add_argument("name", choices=tuple(catalog.STUDIES), metavar="NAME", help=f"one of {', '.join(catalog.STUDIES)}")
    parser.add_argument("--models", metavar="NAMES", help="names, families, core or all (default: the study's own)")
    parser.add_argument(
        "--size",
        choices=("small", "full"),
        default="small",
        help="small takes minutes on ml-100k; full is what a finding should rest on (default: small)",
    )
    parser.add_argument(
        "--series",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only the series with such a name, and what they are compared with; may be repeated (default: all)",
    )
    add_grid(parser, "the answer")
    add_storage(parser, "none, this command trains all runs itself", hand_out=False)


def run(args: argparse.Namespace) -> int:
    from ..studies import grid, output
    from .console import table_console

    try:
        report = answer(args)
    except grid.RunsFailed as error:
        print(error, file=sys.stderr)
        print(f"study {args.name} is not complete; the same command runs what is missing", file=sys.stderr)
        return 1
    if any(record.simulated for one in report.finding.measurements for record in one.records):
        print(f"a simulated device: there is no finding; its records are in {report.finding.view.store.root / 'runs'}")
        return 0
    console = table_console()
    output.show(report, console)
    console.print(f"table and figures: {output.write(report)}", highlight=False, soft_wrap=True)
    return 0


def answer(args: argparse.Namespace, train: bool = True) -> StudyReport:
    """The study that a command line asks for, after what is missing of it has run.

    Raises:
        UserError: settings, data or device are wrong, or something is missing that may not be trained.
        RunsFailed: training failed somewhere.
    """
    study = catalog.find(args.name)
    models = registry.select(args.models) if args.models else study.models[args.size]
    roots = data_roots(args.data_root)
    chosen = settings_or_tuned(args, models, roots)
    from ..records.store import Store
    from ..studies import grid, output
    from ..studies.points import Scope

    store = Store(args.results).of_study(study.name)
    options = run_options(args, store, roots, args.device, train=train, carry_out=shared_with(args))
    scope = Scope(models, args.size, series=tuple(args.series))
    return output.StudyReport.of(study, scope, grid.run(study, scope, chosen, args.seeds, options), command(args))


def command(args: argparse.Namespace) -> str:
    """The command that makes the same study elsewhere: what decides its numbers, files by their name alone."""
    words = ["rankbench", "study", args.name]
    for option, usual in (
        ("models", None),
        ("dataset", None),
        ("split", None),
        ("seeds", 3),
        ("size", "small"),
        ("config", None),
    ):
        value = getattr(args, option)
        if value != usual:
            words += [f"--{option}", Path(value).name if option in ("dataset", "config") else str(value)]
    for pattern in args.series:
        words += ["--series", pattern]
    for assignment in args.set:
        words += ["--set", assignment]
    return shlex.join(words)
