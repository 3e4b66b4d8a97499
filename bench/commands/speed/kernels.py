"""`rankbench speed kernels`: the attention operation alone."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from ..measured import SpeedReport, add_rounds, as_in_runs, by_case, record_name, writable
from ..options import add_device, add_results, add_roots, add_threads
from ..parser import Parser
from ..roots import data_roots

HELP = """\
Measure speed, memory and errors of the implementations of attention on a device, beside torch's own: on batches of fixed
sizes, then on a batch of each data set. With --grid instead over the shapes for which others publish numbers, forward and
backward apart, with and without biases, full and ragged, beside dense tensors, torch's softmax and kernels of others."""

EXAMPLES = ("rankbench speed kernels --rounds 5", "rankbench speed kernels --device cuda --dtype bf16 --grid published")


DATASET = "ml-100k"


def add(parser: Parser) -> None:
    parser.add_argument(
        "--dataset", default=DATASET, metavar="NAMES", help="names or YAML files, separated by commas (default: ml-100k)"
    )
    add_device(parser)
    parser.add_argument(
        "--grid", choices=("published", "tiny"), help="published: 50 to 4,096 tokens, for an accelerator; tiny: to try every step"
    )
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32", help="type of the inputs (default: fp32)")
    add_rounds(parser)
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    roots = data_roots(args.data_root)
    import torch

    from ... import device as devices
    from ...speed import grid, kernels

    as_in_runs(args.threads)
    device = devices.resolve(args.device)
    words, datasets = ("kernels", device.type, args.dtype, args.threads), tuple(args.dataset.split(","))
    named = tuple(Path(one).stem if one.endswith((".yaml", ".yml")) else one for one in datasets)
    name = record_name(words, {"grid": (args.grid, None)} if args.grid else {"dataset": (named, (DATASET,))})
    report = SpeedReport(writable(args), name, device, f"{args.dtype}, {args.rounds} round(s)")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[args.dtype]
    if args.grid:
        found: list[grid.GridRow] = []
        wanted = grid.cases(args.grid == "tiny")
        places = {case.name: at for at, case in enumerate(wanted)}
        # Ours first: what others need to be compiled may take longer than there is time.
        for who, case in itertools.product(("ours", "others"), wanted):
            print(f"{case.name}, {who} ...", file=sys.stderr, flush=True)
            for row in grid.measure(case, device, dtype, args.rounds, who):
                found.append(row)
                found.sort(key=lambda one: places[one.case])
                report.write(found)  # what is ended early keeps its rows
        cases = by_case((row.case, row.contender, [row.both_ms]) for row in found if row.both_ms is not None)
        report.publish(found, grid.lines(found), "Attention, forward and backward", "ms", cases)
        return 0
    rows = []
    of_data = (kernels.shape_of(dataset, roots) for dataset in datasets)
    for shape in itertools.chain(kernels.shapes(device), of_data):
        print(f"{shape.name} ...", file=sys.stderr, flush=True)
        rows += kernels.measure(shape, device, dtype, args.rounds)
        report.write(rows)  # what is ended early keeps the shapes that it measured
    cases = by_case((row.shape, row.contender, [1e3 * seconds for seconds in row.seconds]) for row in rows)
    report.publish(rows, kernels.lines(rows), "Attention, forward and backward", "ms", cases)
    return 0
