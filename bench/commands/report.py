"""`rankbench report`: one page of everything in a results folder; nothing is recomputed."""

from __future__ import annotations

import argparse


def run(args: argparse.Namespace) -> int:
    from ..records.store import write_text
    from ..reporting import contents, report

    out = args.out or args.results / "report.html"
    found = contents.collect(args.results)
    write_text(out, report.to_html(found, args.results.resolve().name))
    print(f"{len(found.boards)} boards, {len(found.studies)} studies, {len(found.sweeps)} sweeps: {out}")
    return 0
