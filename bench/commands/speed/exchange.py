"""`rankbench speed exchange`: what processes that train together send each other at a step, and what that is for many cards."""

from __future__ import annotations

import argparse

from ... import registry
from ..measured import SpeedReport, record_name
from ..on_data import on_data
from ..options import add_device, add_models, add_results, add_roots, add_threads
from ..parser import Parser
from ..values import positive

HELP = """\
Count the bytes that processes of torchrun put into the sum of a step, by kind: gradients of tables, of all other weights, moving
averages, counts; and project what each of many cards sends. One process counts; nothing is sent."""

EXAMPLES = (
    "rankbench speed exchange --models din,hstu,dlrm-v3 --dataset kuairand-pure",
    "rankbench speed exchange --cards 8,64 --link 50",
)


MODELS = "din,hstu"


def add(parser: Parser) -> None:
    add_models(parser, MODELS)
    parser.add_argument("--dataset", default="ml-100k", metavar="NAME", help="a name or a YAML file (default: ml-100k)")
    parser.add_argument(
        "--cards",
        type=_counts,
        default=(8, 16, 32, 64),
        metavar="N,N",
        help="for how many cards to project (default: 8,16,32,64)",
    )
    parser.add_argument(
        "--link",
        type=positive,
        default=25,
        metavar="GB/S",
        help="gigabytes a second into and out of each card (default: 25, a port of 200 Gbit/s)",
    )
    add_device(parser)
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    device, store, data = on_data(args)
    from ...speed import exchange

    found = [exchange.count(model, data, device) for model in models]
    dataset = data.log.meta.name
    said = f"{dataset}, bytes of one process's part of a step at each model's default batch"
    name = record_name(("exchange", dataset), {"models": (models, registry.select(MODELS))})
    report = SpeedReport(store, name, device, said)
    print(said, *exchange.lines(found, args.cards, args.link), f"\nrecord: {report.write(found)}", sep="\n")
    return 0


def _counts(text: str) -> tuple[int, ...]:
    """Numbers of cards, two or more, separated by commas."""
    words = text.split(",")
    if not all(word.isdecimal() and int(word) > 1 for word in words):
        raise argparse.ArgumentTypeError(f"must be whole numbers above 1, separated by commas, not {text!r}")
    return tuple(map(int, words))
