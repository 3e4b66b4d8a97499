"""`rankbench score`: metrics once more, from stored scores alone, held against the records."""

from __future__ import annotations

import argparse
from pathlib import Path

from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from .. import rows
    from ..records.store import Store
    from ..reporting.rescore import rescore

    store = Store(args.results)
    rows.restore(store, roots, args.dataset)
    lines = rescore(store, args.dataset and Path(args.dataset).stem)
    print("\n".join(lines))
    print(f"{len(lines)} runs recomputed; records and scores are in {store.root / 'runs'}")
    return 0
