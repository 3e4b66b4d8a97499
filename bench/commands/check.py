"""`rankbench check`: whether a folder of somebody's runs can stand beside ours."""

from __future__ import annotations

import argparse

from .roots import data_roots


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    from .. import contribution

    findings = contribution.check(args.folder, roots, args.dataset)
    print("\n".join(map(str, findings)))
    return int(any(finding.kind == "wrong" for finding in findings))
