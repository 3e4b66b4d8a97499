"""`rankbench pack`: the files of each finished cell in one zip, and back."""

from __future__ import annotations

import argparse
import sys

from ..errors import UserError
from .options import add_results
from .parser import Parser

HELP = """\
Pack the records and scores of every finished cell of a results folder, of its studies and of the stores below it: one file
<cell>.zip for each cell instead of two for each seed. The zip holds the files byte for byte, and every command reads both forms;
weights are not packed. Seeds that are run later lie loose beside the zip until the same command packs them, too. Folders called
local are left out, unless --results names one."""

EXAMPLES = ("rankbench pack --results results", "rankbench pack --results results --unpack")


def add(parser: Parser) -> None:
    parser.add_argument("--unpack", action="store_true", help="the other way: files of their own for every run, and no zip")
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    from ..records import packing
    from ..records.store import LAYOUT, stores_below
    from ..reporting.results_folder import LEFT_OUT

    stores = [one for one in stores_below(args.results) if not LEFT_OUT & set(one.root.relative_to(args.results).parts)]
    if not any(store.cells() for store in stores):
        raise UserError(f"no run in {args.results}; it must hold {LAYOUT}")
    if args.unpack:
        folders = [folder for store in stores for folder in packing.packed(store)]
        for folder in folders:
            packing.unpack(folder)
        print(f"cells unpacked in {args.results}: {len(folders)}")
        return 0
    cells = [cell for store in stores for cell in packing.loose(store)]  # all are read before the first is moved
    chosen = [cell for cell in cells if cell.files]
    for cell in chosen:
        packing.pack(cell)
    for cell in cells:
        if cell.unfinished:
            print(f"left loose: {cell.folder}: {cell.unfinished}", file=sys.stderr)
    print(f"cells packed in {args.results}: {len(chosen)}; left loose: {len(cells) - len(chosen)}")
    return 0
