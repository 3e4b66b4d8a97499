"""`rankbench peers speed`: training speed beside other projects."""

from __future__ import annotations

import argparse
import sys

from ...errors import UserError
from ..measured import SpeedReport, add_rounds, record_name, writable
from ..options import add_results, add_roots, add_threads
from ..parser import Parser
from ..roots import data_roots
from ..values import positive
from .fuxictr import ZOO, add_fuxictr

HELP = """\
Measure the training speed of DIN and HSTU beside the DIN of deepctr-torch and, with --models-from, of FuxiCTR: each under its own
trainer, on the same rows, in turn."""

EXAMPLES = (
    "rankbench peers speed",
    "rankbench peers speed --dataset ml-1m --history-length 100 --rounds 5",
    "rankbench peers speed --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python",
)


HISTORY = 50


def add(parser: Parser) -> None:
    parser.add_argument("--dataset", default="ml-100k", metavar="NAME", help="a name or a YAML file (default: ml-100k)")
    parser.add_argument(
        "--history-length", type=positive, default=HISTORY, metavar="L", help="how many past events everybody reads (default: 50)"
    )
    add_rounds(parser)
    add_fuxictr(parser, required=False)
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    if args.models_from is None and "--python" in args.given:
        raise UserError(f"peers speed --python needs --models-from, {ZOO}; see docs/results/peers.md")
    roots = data_roots(args.data_root)
    import torch

    from ...peers import fuxictr, speed
    from ...records import provenance

    torch.set_num_threads(args.threads)
    peer = None if args.models_from is None else fuxictr.find_peer(args.python, args.models_from, ["din"])
    store = writable(args)
    data = speed.examples(roots, args.dataset, args.history_length)
    load = [provenance.load_average()]
    try:
        rows = speed.compare(data, peer, args.threads, args.rounds, say=lambda line: print(line, file=sys.stderr, flush=True))
    except fuxictr.PeerFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    load.append(provenance.load_average())
    name = data.log.meta.name
    said = f"{name}, history {args.history_length}, {args.rounds} round(s)"
    cases = {row.contender: {"of the wall clock": row.wall, "of CPU time": row.cpu} for row in rows}
    more = {"load_average": load, "peer": peer and {"versions": peer.versions, "files": peer.files}}
    choices = {"beside": (peer and "fuxictr", None), "history": (args.history_length, HISTORY)}
    SpeedReport(store, record_name(("peers", name, args.threads), choices), torch.device("cpu"), said).publish(
        rows, speed.lines(rows, load), "Training beside others", "examples per second", cases, more
    )
    return 0
