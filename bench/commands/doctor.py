"""`rankbench doctor`: what is here, and what to do about what is not."""

from __future__ import annotations

import argparse

from .. import doctor
from .options import add_results, add_roots
from .parser import Parser
from .roots import cache, data_root

HELP = "Say what this machine offers, what it lacks, and what to do about that."

EXAMPLES = ("rankbench doctor", "rankbench doctor --data-root my/data")


def add(parser: Parser) -> None:
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    findings = doctor.examine(data_root(args.data_root), cache(), args.results)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{finding.state:<4} {finding.name:<{width}}  {finding.value}")
    failed = [finding.name for finding in findings if finding.state == "FAIL"]
    print(f"please mend: {', '.join(failed)}" if failed else f"ready; results will be written to {args.results}")
    return 1 if failed else 0
