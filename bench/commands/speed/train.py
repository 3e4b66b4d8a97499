"""`rankbench speed train`: training speed of our models, with the kernels of this machine and without, and in recorded steps."""

from __future__ import annotations

import argparse
import sys

from ... import registry
from ..measured import SpeedReport, add_rounds, by_case, record_name
from ..on_data import on_data
from ..options import add_device, add_models, add_results, add_roots, add_threads
from ..parser import Parser
from ..values import positive

HELP = (
    "Measure the training speed of our models with the kernels of this machine and with torch's operations alone, in turn; on an "
    "accelerator as recorded steps too."
)

EXAMPLES = ("rankbench speed train --models din,hstu,llama --dataset ml-1m", "rankbench speed train --seconds 20 --device cuda")


MODELS = "din,hstu"


def add(parser: Parser) -> None:
    add_models(parser, MODELS)
    parser.add_argument("--dataset", default="ml-100k", metavar="NAME", help="a name or a YAML file (default: ml-100k)")
    add_device(parser)
    parser.add_argument(
        "--seconds", type=positive, default=5, metavar="S", help="how long a model trains in each round (default: 5)"
    )
    add_rounds(parser)
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    device, store, data = on_data(args)
    from ...speed import train

    dataset, on_cpu = data.log.meta.name, device.type == "cpu"
    said = f"{dataset}, {args.rounds} round(s) of {args.seconds} s"
    name = record_name(("training", dataset, device.type, args.threads), {"models": (models, registry.select(MODELS))})
    report = SpeedReport(store, name, device, said)
    speeds: list[train.ModelSpeed] = []
    for model in models:
        print(f"{model} ...", file=sys.stderr, flush=True)
        speeds += train.measure(model, data, device, args.seconds, args.rounds)
        report.write(speeds)  # what is measured stays, whatever becomes of the next
    cases = by_case((speed.model, speed.kernels, speed.cpu if on_cpu else speed.wall) for speed in speeds)
    unit = "examples per second of CPU time" if on_cpu else "examples per second"
    report.publish(speeds, train.lines(speeds), f"Training on {dataset}", unit, cases)
    return 0
