"""`rankbench score`: metrics once more, from stored scores alone, held against the records."""

from __future__ import annotations

import argparse

from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from .. import rows
    from ..data.sources import name_of
    from ..records.store import Store
    from ..reporting.rescore import rescore

    store = Store(args.results)
    rows.restore(store, roots, args.dataset)
    lines = rescore(store, args.dataset and name_of(args.dataset))
    print("\n".join(lines))
    print(f"{len(lines)} runs recomputed; records and scores are in {store.root / 'runs'}")
    return 0
