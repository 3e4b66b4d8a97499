"""`rankbench run`: every cell that is not finished, then the leaderboard."""

from __future__ import annotations

import argparse
import sys

from .. import registry
from .board import publish
from .roots import data_roots
from .settings import settings_or_tuned


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    roots = data_roots(args.data_root)
    asked = settings_or_tuned(args, models, roots)
    from .. import experiment, implementations
    from ..records.store import Store
    from ..training.team import assembled

    store = Store(args.results)
    with assembled(args.device) as (team, device):
        records = experiment.run_all(
            experiment.plan(models, asked, args.seeds),
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
        publish(store, asked.data.get("dataset", records[0].identity.dataset), records[0].identity.split, roots)
    else:
        print(f"no run succeeded; their records are in {store.root / 'runs'}")
    return 1 if failed else 0
