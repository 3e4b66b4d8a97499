"""`rankbench check`: whether a folder of somebody's runs can stand beside ours."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_roots
from .parser import Parser
from .roots import data_roots

HELP = """\
Check a results folder that somebody contributes: every record read strictly and in its place, hashes of settings and splits
computed again, scores there and metrics recomputed from them where the data set is here, the same seeds for every row,
committed code, no simulated device. One line for each finding; exit code 1 if something is wrong. Test rows are made again
below DIR/rows."""

EXAMPLES = ("rankbench check results", "rankbench check their/results --dataset my.yaml")


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a results folder: records in runs/, scores beside them")
    parser.add_argument("--dataset", metavar="FILE", help="the YAML file of your own table, if the folder has runs on one")
    add_roots(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from .. import contribution

    findings = contribution.check(args.folder, roots, args.dataset)
    print("\n".join(map(str, findings)))
    return int(any(finding.kind == "wrong" for finding in findings))
