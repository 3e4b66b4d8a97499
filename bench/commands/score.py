"""`rankbench score`: metrics once more, from stored predictions alone, held against the records."""

from __future__ import annotations

import argparse


def run(args: argparse.Namespace) -> int:
    from ..records.store import Store
    from ..reporting.rescore import rescore

    store = Store(args.results)
    lines = rescore(store)
    print("\n".join(lines))
    print(f"{len(lines)} runs recomputed; records and predictions are in {store.root / 'runs'}")
    return 0
