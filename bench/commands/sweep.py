"""`rankbench sweep`: search the settings of several models with equal budgets, then write what was found."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from .. import registry
from ..errors import UserError
from .following import FOLLOWED, add_followed, followed
from .limits import LIMITS, add_limits, limits
from .options import (
    add_models,
    add_results,
    add_roots,
    add_storage,
    add_training,
    refuse_beside,
)
from .parser import Assign, Parser
from .roots import data_roots
from .settings import TUNED, settings
from .values import for_cores, positive, whole

if TYPE_CHECKING:
    from ..records.sweeps import SweepRecord


HELP = """\
Search the settings of models with Optuna: as many trials, and as much time, for each of them, judged by validation alone. The
first trial has the model's defaults. The same command joins a search that is under way, also from another machine that shares the
storage, and goes on with one that was interrupted; docs/howto/sweep.md says more."""

EXAMPLES = (
    "rankbench sweep --models din,hstu --trials 20",
    "rankbench sweep --models classical,generative --dataset ml-1m --trials 30 --seconds 3600 --jobs 2",
    "rankbench sweep --models hstu --storage postgresql+psycopg://me@host/studies",
    "rankbench sweep --models hstu,llama --search hstu.head=mlp,dot,bilinear,target-attention --trials 30",
    "rankbench sweep --models din,hstu --search data.negative_rate=0.1..1:log",
    "rankbench sweep --redraw",
    "rankbench run --models din,hstu --config tuned --seeds 5",
)


def add(parser: Parser) -> None:
    add_models(parser, "core")
    add_training(parser)
    parser.add_argument(
        "--trials", type=positive, default=20, metavar="N", help="how many trials each model has at most (default: 20)"
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        metavar="S",
        help="how long all trials of a model together may train (default: no limit)",
    )
    add_limits(parser)
    parser.add_argument(
        "--seed", type=whole, default=0, metavar="N", help="the seed of the proposals; training has seed 0 (default: 0)"
    )
    parser.add_argument(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="end trials early that are worse than most (default: yes)",
    )
    parser.add_argument(
        "--jobs",
        type=for_cores,
        default=1,
        metavar="N",
        help="how many workers search; a single one proposes the same every time (default: 1)",
    )
    parser.add_argument(
        "--search",
        action=Assign,
        default=[],
        metavar="SECTION.KEY=RANGE",
        help="search this too: the values a,b or the range low..high or low..high:log; may be repeated",
    )
    add_storage(parser, "sweeps/journal.log below --results")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a YAML file with settings that are fixed, not searched")
    parser.add_argument("--redraw", action="store_true", help="only draw figures again from stored trials; nothing is trained")
    parser.add_argument("--quiet", action="store_true", help="show no progress, only what was found")
    add_followed(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    if args.redraw:
        refuse_beside(args, "--redraw", args.given - {"--redraw", "--results"})
        return _redraw(args)
    if args.hand_out:
        refuse_beside(args, "--hand-out", {"--jobs", "--threads", "--quiet", *FOLLOWED, *LIMITS})
    if args.config == TUNED:
        raise UserError("--config tuned is what a sweep finds; a sweep starts from a YAML file of your own, or from none")
    models = _searched(registry.select(args.models))
    asked = settings(args, models)
    roots = data_roots(args.data_root)
    from .. import implementations
    from ..reporting.figures import search as figures
    from ..runs import processes
    from ..search import sweep, tuned
    from ..search.budget import Budget
    from ..training.display import Display
    from ..urls import shown

    prepared = sweep.prepare_sweep(
        models=models,
        settings=asked,
        budget=Budget(args.trials, args.seconds or math.inf),
        seed=args.seed,
        prune=args.prune,
        storage=args.storage or str(args.results / "sweeps" / "journal.log"),
        device=args.device,
        roots=roots,
        root=args.results,
        kernels=implementations.parse(args.kernel),
        search=args.search,
        limits=limits(args),
    )
    for target in prepared.targets:
        if not target.place.sweep_path(args.results, target.info.name).exists():
            for path in target.place.of_other_data(args.results, target.info.name):
                print(f"{target.info.name}: the data changed: a new search begins; that of the data before stays in {path}")
    if args.hand_out:
        print(f"handed out: the searches of {', '.join(models)}; rankbench worker --storage {shown(prepared.storage)} does them")
        return 0
    died, left = args.jobs, dict[str, int]()
    try:
        with Display(args.quiet, followed(args).start()) as display:
            died = processes.together(sweep.work, prepared, args.jobs, args.threads, display)
            left = sweep.unfinished(prepared) if prepared.limits.over else {}
    finally:
        records = tuned.keep(prepared, ended=died < args.jobs and not left)
    if died == args.jobs:
        raise UserError("every worker died; the same command goes on with what they left")
    folder = prepared.targets[0].place.sweep_path(args.results, models[0]).parent
    figures.draw(folder)
    _show(records)
    if left:
        done = ", ".join(f"{model} has {trials} of {args.trials} trials" for model, trials in left.items())
        print(f"stopped by --max-hours {args.max_hours:g}: {done}; no settings are tuned yet, and the same command goes on")
        return 1
    print(f"trials and figures: {folder}")
    found = [record.model for record in records if record.best is not None]
    if found:
        print(f"tuned settings of {', '.join(found)}: {prepared.targets[0].place.tuned_path(args.results, found[0]).parent}")
    return 0 if len(found) == len(records) else 1


def _redraw(args: argparse.Namespace) -> int:
    from ..reporting.figures import search as figures

    folders = sorted({path.parent for path in (args.results / "sweeps").glob("*/*.json")})
    if not folders:
        raise UserError(f"no trials in {args.results / 'sweeps'}; rankbench sweep makes them")
    for folder in folders:
        figures.draw(folder)
        print(f"figures: {folder}")
    return 0


def _searched(models: tuple[str, ...]) -> tuple[str, ...]:
    """The models that have anything to search."""
    plain = [name for name in models if not registry.info(name).space]
    searched = tuple(name for name in models if name not in plain)
    if not searched:
        raise UserError(f"{', '.join(plain)} cannot be tuned: there is nothing to set")
    if plain:
        print(f"left out, there is nothing to tune: {', '.join(plain)}")
    return searched


def _show(records: list[SweepRecord]) -> None:
    """A line a model: what its search took, and what the best trial has."""
    from rich.table import Table

    from ..records.sweeps import effort
    from .console import table_console

    metric = records[0].metric
    table = Table(title=f"{records[0].study.rpartition('/')[0]}: validation {metric}", title_justify="left")
    numbers = ("trials", "cut", "pruned", "failed", "train s", "settings", "values seen", "defaults", "best", "best at")
    for column in ("model", *numbers, "changed in the best trial"):
        table.add_column(column, justify="right" if column in numbers else "left")
    for record in records:
        took, best = effort(record), record.best
        changed = {} if best is None else {k: v for k, v in best.params.items() if v != record.defaults[k]}
        table.add_row(
            record.model,
            str(took.trials),
            *(f"{share:.0%}" for share in (took.cut, took.pruned, took.failed)),
            f"{took.seconds:.1f}",
            str(took.dimensions),
            "-" if took.values_seen is None else f"{took.values_seen:.0%}",
            "-" if record.default_value is None else f"{record.default_value:.4f}",
            "-" if best is None else f"{best.value:.4f}",
            "-" if took.best_at is None else str(took.best_at),
            ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in changed.items()) or "nothing",
        )
    console = table_console()
    console.print(table)
    for record in records:
        if record.best is not None and record.best.cut:
            after = f"after {record.best.seconds:.1f} s of training"
            print(f"{record.model}: a limit of time ended the best trial, {after}; its tuned settings keep train.max_seconds")
        for trial in record.counted:
            if trial.state == "failed":
                print(f"failed: {record.model} trial {trial.number}: {trial.reason}")
