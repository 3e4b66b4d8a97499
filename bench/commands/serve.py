"""`rankbench serve`: scores of a trained model over HTTP."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UserError
from .options import add_device, add_precision, add_roots, add_threads
from .parser import Parser
from .roots import data_roots
from .values import positive, whole

HELP = """\
Answer requests for scores over HTTP with the weights of a finished run, or with a package of `rankbench export`: POST /score, GET
/health, GET /metrics (Prometheus), POST /model. Needs the extra `serve`. SIGHUP reads the file again, SIGTERM answers what is
under way and ends."""

EXAMPLES = (
    "rankbench serve --weights my/seed-0.safetensors --dataset my.yaml --port 8000",
    "rankbench serve --weights my/seed-0.safetensors --dataset my.yaml --precision int8",
    "rankbench serve --weights my/seed-0.pt2 --dataset my.yaml --timeout-ms 200 --queue 16 --log answers.jsonl",
)


def add(parser: Parser) -> None:
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help="a file of weights (.safetensors) or a package (.pt2)"
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="the data set that the model was trained on; for your own table its YAML file"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8000, metavar="N", help="0: a free one (default: 8000)")
    parser.add_argument(
        "--models-from",
        type=Path,
        metavar="DIR",
        help="where POST /model may take weights from (default: the folder of --weights)",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="append a line of JSON for each answered request, before it is answered"
    )
    _add_limits(parser)
    add_precision(parser)
    add_device(parser)
    add_threads(parser)
    add_roots(parser)


def _add_limits(parser: Parser) -> None:
    parser.add_argument(
        "--timeout-ms", type=positive, default=2000, metavar="MS", help="for a body to arrive, and for an answer (default: 2000)"
    )
    parser.add_argument(
        "--queue", type=positive, default=32, metavar="N", help="requests computed or waiting, at most; then 503 (default: 32)"
    )
    parser.add_argument(
        "--max-candidates", type=positive, default=2000, metavar="N", help="of a request, at most (default: 2000)"
    )
    parser.add_argument(
        "--max-history", type=whole, default=5000, metavar="N", help="past events that a request may tell (default: 5000)"
    )
    parser.add_argument(
        "--max-kilobytes", type=positive, default=1024, metavar="N", help="of a request's body, at most (default: 1024)"
    )
    parser.add_argument(
        "--remembered", type=positive, default=256, metavar="N", help="pasts that are kept of a generative ranker (default: 256)"
    )


def run(args: argparse.Namespace) -> int:
    try:
        from ..server.app import Server
        from ..server.process import listening, serve
    except ModuleNotFoundError as error:
        raise UserError(f"rankbench serve needs the package {error.name}: pip install 'rankbench[serve]'") from None
    import torch

    from .. import device as devices
    from ..server.answers import AnswerLog
    from ..server.limits import Limits
    from ..server.served import Served
    from ..serving import Scorer

    roots, device = data_roots(args.data_root), devices.resolve(args.device)
    limits = Limits(
        args.max_kilobytes * 1024, args.max_candidates, args.max_history, args.queue, args.timeout_ms / 1000, args.remembered
    )

    def load(path: Path) -> Scorer:
        scorer = Scorer.load(path, roots, device, args.dataset, args.precision)
        scorer.remembered = limits.remembered
        return scorer

    def threads() -> None:
        """Each thread of Python that computes has a number of its own."""
        torch.set_num_threads(args.threads)

    threads()
    bound = listening(args.host, args.port)
    served = Served(args.weights, load, args.models_from)
    server = Server(served, limits, AnswerLog(args.log), threads)
    serve(server, bound)
    return 0


def _port(text: str) -> int:
    if whole(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be at most 65535, not {text}")
    return int(text)
