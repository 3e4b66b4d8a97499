"""`rankbench data`: fetch and convert a data set, or say what is in it."""

from __future__ import annotations

import argparse

from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    from ..data import dataset

    roots = data_roots(args.data_root)
    log = dataset.open_dataset(args.name, roots)
    if args.action == "describe":
        print("\n".join(dataset.describe(args.name, roots)))
    else:
        print(f"{log.meta.name}: {log.meta.events:,} events of {log.meta.users:,} users and {log.meta.items:,} items")
        for file in log.meta.files:
            print(f"from {file.origin}: {file.name}, sha256 {file.sha256}")
        print(f"licence: {log.meta.licence}")
    print(f"converted event log: {log.folder}")
    return 0
