"""`rankbench sweep`: search the settings of several models with equal budgets, then write what was found."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from .. import registry
from ..errors import UserError
from .roots import data_roots
from .settings import settings

if TYPE_CHECKING:
    from ..records.sweeps import SweepRecord


def run(args: argparse.Namespace) -> int:
    if args.redraw:
        return _redraw(args)
    models = _searched(registry.select(args.models))
    asked = settings(args)
    roots = data_roots(args.data_root)
    from .. import implementations, workers
    from ..reporting import sweeps as figures
    from ..studies import sweep, tuned
    from ..studies.ledger import Budget
    from ..training.progress import Display

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
    )
    died = args.jobs
    try:
        with Display(args.quiet) as display:
            died = workers.together(sweep.work, prepared, args.jobs, args.threads, display)
    finally:
        records = tuned.keep(prepared, ended=died < args.jobs)
    if died == args.jobs:
        raise UserError("every worker died; the same command goes on with what they left")
    folder = prepared.targets[0].place.sweep_path(args.results, models[0]).parent
    figures.draw(folder)
    _show(records)
    print(f"trials and figures: {folder}")
    found = [record.model for record in records if record.best is not None]
    if found:
        print(f"tuned settings of {', '.join(found)}: {prepared.targets[0].place.tuned_path(args.results, found[0]).parent}")
    return 0 if len(found) == len(records) else 1


def _redraw(args: argparse.Namespace) -> int:
    from ..reporting import sweeps as figures

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
    """A line a model, best first, and the settings of the best trial below."""
    from rich.console import Console
    from rich.table import Table

    metric = records[0].metric
    table = Table(title=f"{records[0].study.rpartition('/')[0]}: validation {metric}", title_justify="left")
    for column in ("model", "trials", "complete", "pruned", "failed", "train s", "defaults", "best", "changed in the best trial"):
        table.add_column(column, justify="left" if column in ("model", "changed in the best trial") else "right")
    for record in records:
        states = [trial.state for trial in record.counted]
        best = record.best
        changed = {} if best is None else {k: v for k, v in best.params.items() if v != record.defaults[k]}
        table.add_row(
            record.model,
            str(len(states)),
            *(str(states.count(state)) for state in ("complete", "pruned", "failed")),
            f"{record.seconds:.1f}",
            "-" if record.default_value is None else f"{record.default_value:.4f}",
            "-" if best is None else f"{best.value:.4f}",
            ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in changed.items()) or "nothing",
        )
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    for record in records:
        for trial in record.counted:
            if trial.state == "failed":
                print(f"failed: {record.model} trial {trial.number}: {trial.reason}")
