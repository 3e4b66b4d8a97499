"""`rankbench run`: every cell that is not finished, then the leaderboard."""

from __future__ import annotations

import argparse
import sys

from .. import registry
from .board import publish
from .roots import data_roots
from .settings import settings


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    chosen = settings(args)
    roots = data_roots(args.data_root)
    from .. import experiment, implementations
    from ..records.store import Store

    store = Store(args.results)
    records = experiment.run_all(
        experiment.plan(models, chosen, args.seeds),
        device=args.device,
        roots=roots,
        store=store,
        resume=args.resume,
        quiet=args.quiet,
        jobs=args.jobs,
        threads=args.threads,
        kernels=implementations.parse(args.kernel),
    )
    failed = [record for record in records if record.status == "failed"]
    for record in failed:
        print(f"failed: {record.identity.model} seed {record.identity.seed}: {record.error}", file=sys.stderr)
    if records and all(record.simulated for record in records):
        print(f"a simulated device: results enter no board; their records are in {store.root / 'runs'}")
    elif len(failed) < len(records):
        publish(store, chosen.data.get("dataset", records[0].identity.dataset), records[0].identity.split, roots)
    else:
        print(f"no run succeeded; their records are in {store.root / 'runs'}")
    return 1 if failed else 0
