"""`rankbench speed serve`: what a request costs where a model serves, under closed and open load."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ... import registry
from ...errors import UserError
from ..measured import SpeedReport, add_rounds, as_in_runs, by_case, writable
from ..options import add_device, add_models, add_results, add_roots, add_threads, positive, refuse_beside
from ..parser import Assign, Parser
from ..roots import data_roots

if TYPE_CHECKING:
    import torch

    from ...serving import Scorer
    from ...speed.serve import Contender, ServeTime, Traffic

HELP = """\
Measure the latency and throughput of requests: one caller back to back, then random arrivals at shares of the capacity, with
latency counted from the arrival. A request goes from names to probabilities; HTTP is not part of it. Models have random weights,
or those of --weights. A generative ranker is measured with the past computed and with the past kept."""

EXAMPLES = (
    "rankbench speed serve --models din,hstu --history 50 --candidates 1,100",
    "rankbench speed serve --precision fp32,bf16,int8 --threads 2",
    "rankbench speed serve --weights my/seed-0.safetensors --dataset my.yaml",
)

SERVED = "din,din-rankmixer,hstu,sasrec,llama,onetrans"


def add(parser: Parser) -> None:
    add_models(parser, SERVED)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="measure this trained model, on its own data set")
    parser.add_argument(
        "--dataset", metavar="NAME", help="a name or a YAML file, whose test requests are asked for (default: a simulated log)"
    )
    parser.add_argument(
        "--history", type=_sizes, default=(50, 1000), metavar="NUMBERS", help="past events of a request (default: 50,1000)"
    )
    parser.add_argument(
        "--candidates", type=_sizes, default=(1, 100, 1000), metavar="NUMBERS", help="of a request (default: 1,100,1000)"
    )
    parser.add_argument(
        "--precision", type=_precisions, default=("fp32",), metavar="NAMES", help="of fp32, bf16 and int8 (default: fp32)"
    )
    parser.add_argument(
        "--load", type=_shares, default=(0.5, 0.8), metavar="SHARES", help="of the capacity, under open load (default: 0.5,0.8)"
    )
    parser.add_argument(
        "--seconds", type=positive, default=2, metavar="S", help="how long each load lasts in each round (default: 2)"
    )
    parser.add_argument(
        "--set", action=Assign, default=[], metavar="MODEL.KEY=VALUE", help="change a setting of a model; may be repeated"
    )
    add_device(parser)
    add_rounds(parser)
    add_threads(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    if args.weights is not None:
        refuse_beside(args, "--weights", {"--models", "--history", "--set"})
    from ... import device as devices
    from ...speed import serve

    as_in_runs(args.threads)
    device, store = devices.resolve(args.device), writable(args)
    rows: list[serve.ServeTime] = []
    refused: dict[str, str] = {}
    report = None
    with tempfile.TemporaryDirectory() as folder:
        for requests, scorers in _measured(args, device, Path(folder)):
            name = requests.data.log.meta.name
            said = f"{name}, {args.rounds} round(s) of {args.seconds} s"
            report = SpeedReport(store, _record(args, scorers[0], device), device, said)
            found: list[serve.Contender] = []
            for scorer in scorers:
                found += _contenders(args, requests, scorer, refused)
            for one in found:
                serve.warm_up(one)
            for at in range(args.rounds):
                serve.say(f"{requests.data.config.history_length} past events, round {at + 1} of {args.rounds} ...")
                for one in found:
                    serve.measure(one, args.load, args.seconds, at)
            rows += [one.row for one in found]
            report.write(rows)  # what is ended early keeps the lengths that it measured
    for reason in refused.values():
        serve.say(f"not measured: {reason}")
    if not rows or report is None:
        raise UserError("nothing that was asked for can be measured; the lines above say why")
    # Another process on the same cores delays a request, and does not change what it costs.
    clock = "cpu" if device.type == "cpu" else "wall"
    shown = ((row, [getattr(one, clock).p50 for one in row.closed]) for row in rows)
    cases = by_case((_case(row), f"{row.precision}, past {row.past}", values) for row, values in shown)
    title = f"A request, past events x candidates: median {'CPU time' if clock == 'cpu' else 'latency'} under closed load"
    report.publish(rows, serve.lines(rows), title, "ms", cases, {"refused": refused})
    return 0


def _record(args: argparse.Namespace, scorer: Scorer, device: torch.device) -> str:
    """Its name: measurements of other lengths or of a trained model stand beside each other."""
    of = [scorer.info.name] if args.weights is not None else [str(length) for length in args.history]
    return "-".join(["serving", scorer.data.log.meta.name, *of, device.type, str(args.threads)])


def _case(row: ServeTime) -> str:
    return f"{row.model}, {row.history:,} x {row.candidates:,}"


def _contenders(args: argparse.Namespace, requests: Traffic, scorer: Scorer, refused: dict[str, str]) -> Iterator[Contender]:
    """One model in each precision that was asked for; `refused` gets those that it does not hold, with the reason."""
    from ...speed import serve

    held: list[serve.Variant] = []
    for precision in args.precision:
        try:
            held.append(serve.in_precision(scorer, precision, requests))
        except UserError as error:
            refused[f"{scorer.info.name} {precision}"] = str(error)
    yield from serve.contenders(serve.in_precision(scorer, "fp32", requests).scorer, held, requests, args.candidates)


def _measured(args: argparse.Namespace, device: torch.device, folder: Path) -> Iterator[tuple[Traffic, list[Scorer]]]:
    """Requests of each length of history, and the models that are asked for them."""
    from ...config import Settings
    from ...serving import Scorer
    from ...speed import serve

    roots, most = data_roots(args.data_root), max(args.candidates)
    if args.weights is not None:
        scorer = Scorer.load(args.weights, roots, device, args.dataset)
        yield serve.traffic(scorer.data, most), [scorer]
        return
    models = registry.select(args.models)
    settings = Settings().changed(args.set, models)
    if settings.data or settings.train:
        raise UserError("speed serve takes settings of models alone in --set; --dataset and --history say what is asked for")
    for history in args.history:
        if args.dataset is None:
            data = serve.simulated(history, folder / f"simulated-{history}")
        else:
            data = serve.of_dataset(args.dataset, history, roots)
        requests = serve.traffic(data, most)
        yield requests, [serve.scorer_of(model, data, settings, device) for model in models]


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive(part) for part in text.split(",")))


def _precisions(text: str) -> tuple[str, ...]:
    """In the order fp32, bf16, int8: others are held against the first."""
    known, given = ("fp32", "bf16", "int8"), text.split(",")
    if wrong := [part for part in given if part not in known]:
        raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}, not {wrong[0]!r}")
    return tuple(name for name in known if name in given)


def _shares(text: str) -> tuple[float, ...]:
    try:
        values = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        values = (0.0,)
    if not all(0 < value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"must be numbers above 0 and below 1, separated by commas, not {text!r}")
    return values
