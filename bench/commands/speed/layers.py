"""`rankbench speed layers`: HSTU's layers beside the same mathematics as padded tensors."""

from __future__ import annotations

import argparse
import sys

from ..measured import SpeedReport, add_rounds, as_in_runs, by_case, writable
from ..options import add_results, add_threads
from ..parser import Parser

HELP = "Measure HSTU's layers beside the same mathematics as padded tensors, forward and backward, on the CPU in fp32."

EXAMPLES = ("rankbench speed layers --rounds 5 --threads 2",)


def add(parser: Parser) -> None:
    add_rounds(parser)
    add_threads(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    import torch

    from ...speed import layers

    as_in_runs(args.threads)
    said = f"fp32, {args.rounds} round(s)"
    report = SpeedReport(writable(args), f"layers-cpu-{args.threads}", torch.device("cpu"), said)
    rows = []
    for shape in layers.SHAPES:
        print(f"{shape.name} ...", file=sys.stderr, flush=True)
        rows += layers.measure(shape, args.rounds)
    cases = by_case((row.shape, row.stack, [1e3 * seconds for seconds in row.wall]) for row in rows)
    report.publish(rows, layers.lines(rows), "HSTU layers, forward and backward", "ms", cases)
    return 0
