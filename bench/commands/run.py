"""`rankbench run`: every cell that is not finished, then the leaderboard."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from .. import registry
from ..config import Settings, read_settings
from .board import publish
from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    settings = _settings(args)
    roots = data_roots(args.data_root)
    from .. import experiment, implementations
    from ..records.store import Store
    from ..training.team import assembled

    store = Store(args.results)
    with assembled(args.device) as (team, device):
        records = experiment.run_all(
            experiment.plan(models, settings, args.seeds),
            device=str(device),
            roots=roots,
            store=store,
            resume=args.resume,
            quiet=args.quiet,
            jobs=args.jobs,
            threads=args.threads,
            kernels=implementations.parse(args.kernel),
            team=team,
        )
    if not team.leads:
        return 0
    failed = [record for record in records if record.status == "failed"]
    for record in failed:
        print(f"failed: {record.identity.model} seed {record.identity.seed}: {record.error}", file=sys.stderr)
    if records and all(record.simulated for record in records):
        print(f"a simulated device: results enter no board; their records are in {store.root / 'runs'}")
    elif len(failed) < len(records):
        publish(store, settings.data.get("dataset", records[0].identity.dataset), records[0].identity.split, roots)
    else:
        print(f"no run succeeded; their records are in {store.root / 'runs'}")
    return 1 if failed else 0


def _settings(args: argparse.Namespace) -> Settings:
    """The config file, then --dataset and --split, then --set."""
    names = tuple(registry.MODELS)
    settings = read_settings(args.config, names) if args.config is not None else Settings()
    chosen = {key: value for key in ("dataset", "split") if (value := getattr(args, key)) is not None}
    return replace(settings, data={**settings.data, **chosen}).changed(args.set, names)
