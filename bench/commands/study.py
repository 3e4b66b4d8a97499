"""`rankbench study`: a grid of experiments that differ in one thing, then its table, figures and what they show in words."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from .. import registry
from ..studies import catalog
from .roots import data_roots
from .settings import settings_or_tuned


def run(args: argparse.Namespace) -> int:
    study = catalog.find(args.name)
    models = registry.select(args.models) if args.models else study.models[args.size]
    roots = data_roots(args.data_root)
    chosen = settings_or_tuned(args, models, roots)
    from rich.console import Console

    from .. import implementations
    from ..records.store import Store
    from ..studies import grid, output

    scope = grid.Scope(models, args.size, series=tuple(args.series))
    try:
        finding = grid.run(
            study,
            scope,
            chosen,
            args.seeds,
            roots,
            Store(args.results).of_study(study.name),
            device=args.device,
            resume=args.resume,
            quiet=args.quiet,
            jobs=args.jobs,
            threads=args.threads,
            kernels=implementations.parse(args.kernel),
        )
    except grid.RunsFailed as error:
        print(*(f"failed: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        print(f"study {study.name} is not complete; the same command runs what is missing", file=sys.stderr)
        return 1
    if any(record.simulated for one in finding.measurements for record in one.records):
        print(f"a simulated device: there is no finding; its records are in {finding.store.root / 'runs'}")
        return 0
    report = output.Report.of(study, scope, finding, command(args))
    console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe or a file has room for every column
    output.show(report, console)
    console.print(f"table and figures: {output.write(report)}", highlight=False, soft_wrap=True)
    return 0


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
