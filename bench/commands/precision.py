"""`rankbench precision`: what a lower precision does to the quality of a trained model."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .measured import record_name, writable
from .options import add_device, add_results, add_roots, add_threads
from .parser import Parser
from .roots import data_roots

if TYPE_CHECKING:
    from ..serving import Precision, Scorer

HELP = """\
Score the test rows with the weights of a model in fp32 and in bf16 or int8, and show the differences of request GAUC, AUC and
logloss, paired by user and seed, with intervals over both and a word each: better, worse, equivalent (within the data set's
margin) or not settled. Several seeds of one configuration are needed for an interval."""

EXAMPLES = (
    "rankbench precision my/seed-0.safetensors my/seed-1.safetensors my/seed-2.safetensors --dataset my.yaml",
    "rankbench precision my/seed-*.safetensors --precision int8",
)


LOWER: tuple[Precision, ...] = ("bf16", "int8")


def add(parser: Parser) -> None:
    parser.add_argument(
        "weights", type=Path, nargs="+", metavar="WEIGHTS", help="files of weights (.safetensors), seeds of one configuration"
    )
    parser.add_argument("--precision", type=lower, default=LOWER, metavar="NAMES", help="of bf16 and int8 (default: bf16,int8)")
    parser.add_argument(
        "--dataset", metavar="NAME", help="the data set that the model was trained on; for your own table its YAML file"
    )
    add_device(parser)
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    import torch

    from ..atomic import write_text
    from ..lower_precision import changes, lines
    from ..typed import finite

    torch.set_num_threads(args.threads)
    store, (cell, scorers) = writable(args), _seeds(args)
    info, meta = scorers[0].info, scorers[0].data.log.meta
    found = changes(scorers, args.precision)
    said = f"{info.name} on {meta.name}, {len(scorers)} seed(s), margin {meta.margin:g}"
    name = record_name(("precision", meta.name, info.name, cell), {"precision": (args.precision, LOWER)})
    path = store.root / f"{name}.json"
    record = {"said": said, "weights": [str(one) for one in args.weights], "changes": [dataclasses.asdict(one) for one in found]}
    write_text(path, json.dumps(finite(record), indent=1, allow_nan=False) + "\n")
    print(said, "", *lines(found, len(scorers)), "", f"record: {path}", sep="\n")
    return 0


def _seeds(args: argparse.Namespace) -> tuple[str, list[Scorer]]:
    """The cell, and one scorer for each file, in fp32; the data set is read once.

    Raises:
        UserError: the files are not different seeds of one configuration.
    """
    from .. import device as devices
    from ..records import weights
    from ..serving import Scorer

    headers = [weights.read(path)[1] for path in args.weights]
    first = headers[0]
    for path, header in zip(args.weights, headers, strict=True):
        if dataclasses.replace(header, seed=first.seed) != first:
            raise UserError(f"{path} and {args.weights[0]} are not of one configuration on one data set; compare them apart")
    if len({header.seed for header in headers}) < len(headers):
        raise UserError("two of the files are of the same seed; give each seed once")
    device = devices.resolve(args.device)
    start = Scorer.load(args.weights[0], data_roots(args.data_root), device, args.dataset, "fp32")
    return first.cell, [start, *(start.with_weights(path) for path in args.weights[1:])]


def lower(text: str) -> tuple[Precision, ...]:
    """Of `--precision`."""
    given = dict.fromkeys(text.split(","))
    if wrong := [name for name in given if name not in LOWER]:
        raise argparse.ArgumentTypeError(f"must be of bf16 and int8, not {wrong[0]!r}")
    return tuple(given)  # type: ignore[return-value]
