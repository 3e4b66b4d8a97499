"""`python -m rankbench.bench.reporting.site ROOT OUT`: the pages of the site, from the repository ROOT into the folder OUT."""

from __future__ import annotations

import argparse
from pathlib import Path

from .pages import assemble

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m rankbench.bench.reporting.site", description=__doc__)
    parser.add_argument("root", type=Path, help="the repository")
    parser.add_argument("out", type=Path, help="a folder of its own, which is made afresh")
    args = parser.parse_args()
    print(f"{assemble(args.root, args.out)} pages in {args.out}")
