"""`rankbench report`: one page of everything in a results folder; nothing is recomputed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def run(args: argparse.Namespace) -> int:
    from ..records.store import write_text
    from ..reporting import contents, report, summary

    found = contents.collect(args.results)
    out = args.out or args.results / ("LEADERBOARD.md" if args.markdown else "report.html")
    if args.markdown:
        folder = Path(os.path.relpath(args.results, out.parent)).as_posix()
        write_text(out, summary.to_markdown(found, folder))
    else:
        write_text(out, report.to_html(found, args.results.resolve().name))
    print(f"boards: {len(found.boards)}, studies: {len(found.studies)}, sweeps: {len(found.sweeps)}; {out}")
    return 0
