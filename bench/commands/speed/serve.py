"""`rankbench speed serve`: what a request costs where a model serves, under closed and open load."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ... import registry
from ...errors import UserError
from ...identity import file_hash
from ..measured import SpeedReport, add_rounds, as_in_runs, by_case, record_name, writable
from ..options import add_device, add_models, add_results, add_roots, refuse_beside
from ..parser import Assign, Parser
from ..roots import cache, data_roots
from ..values import for_cores, number, positive

if TYPE_CHECKING:
    import torch

    from ...serving import Precision, Scorer
    from ...speed.packages import Packages
    from ...speed.serve import Contender, Form, ServeTime, Traffic

HELP = """\
Measure the latency and throughput of requests: one caller back to back, then random arrivals at shares of the capacity, with
latency counted from the arrival. A request goes from names to probabilities; HTTP is not part of it. Models have random weights,
or those of --weights. A generative ranker is measured with the past computed and with the past kept. Packages (--form exported,
compiled) are made before anything is measured and kept in the cache; --prepare makes them and ends."""

EXAMPLES = (
    "rankbench speed serve --models din,hstu --history 50 --candidates 1,100",
    "rankbench speed serve --precision fp32,bf16,int8 --form eager,compiled --threads 1,2 --load none --minutes 8",
    "rankbench speed serve --form compiled --prepare",
    "rankbench speed serve --weights my/seed-0.safetensors --dataset my.yaml",
)

SERVED = "din,din-rankmixer,hstu,sasrec,llama,onetrans"
CANDIDATES, PRECISION, FORM, LOAD = (1, 100, 1000), ("fp32",), ("eager",), (0.5, 0.8)


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
        "--candidates", type=_sizes, default=CANDIDATES, metavar="NUMBERS", help="of a request (default: 1,100,1000)"
    )
    parser.add_argument(
        "--precision", type=_precisions, default=PRECISION, metavar="NAMES", help="of fp32, bf16 and int8 (default: fp32)"
    )
    parser.add_argument(
        "--form", type=_forms, default=FORM, metavar="NAMES", help="of eager, exported and compiled (default: eager)"
    )
    parser.add_argument(
        "--load",
        type=_shares,
        default=LOAD,
        metavar="SHARES",
        help="of the capacity, under open load; none: closed load alone (default: 0.5,0.8)",
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=2.0, metavar="S", help="how long each load lasts in each round (default: 2)"
    )
    parser.add_argument(
        "--requests", type=positive, default=64, metavar="N", help="different ones, asked for in turn (default: 64)"
    )
    parser.add_argument(
        "--threads", type=_threads, default=(1,), metavar="NUMBERS", help="how many threads torch has on the CPU (default: 1)"
    )
    parser.add_argument(
        "--minutes", type=positive, metavar="N", help="begin no measurement after this time (default: measure all)"
    )
    parser.add_argument("--prepare", action="store_true", help="make the packages of --form, measure nothing")
    parser.add_argument("--costs", type=Path, metavar="RECORD", help="measure nothing: show the short table of this record")
    parser.add_argument(
        "--set", action=Assign, default=[], metavar="MODEL.KEY=VALUE", help="change a setting of a model; may be repeated"
    )
    add_device(parser)
    add_rounds(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    from ...speed import serve, serve_tables

    if args.costs is not None:
        refuse_beside(args, "--costs", {"--models", "--weights", "--dataset", "--form", "--precision", "--threads", "--prepare"})
        print(*serve_tables.costs(serve_tables.read_rows(args.costs)), sep="\n")
        return 0
    if args.weights is not None:
        refuse_beside(args, "--weights", {"--models", "--history", "--set"})
    if args.prepare and args.form == FORM:
        raise UserError("--prepare makes packages: say which with --form exported, or compiled")
    from ... import device as devices
    from ...speed.packages import Packages

    begin = time.monotonic()
    as_in_runs(args.threads[0])
    device, store, packages = devices.resolve(args.device), writable(args), Packages(cache() / "packages")
    rows: list[ServeTime] = []
    refused: dict[str, str] = {}
    report = None
    with tempfile.TemporaryDirectory() as folder:
        for requests, scorers in _measured(args, device, Path(folder)):
            name = requests.data.log.meta.name
            said = f"{name}, {args.rounds} round(s) of {args.seconds:g} s"
            report = SpeedReport(store, _record(args, scorers[0], device), device, said, args.threads)
            variants = [_variants(args, scorer, packages, refused) for scorer in scorers]
            if args.prepare:
                continue
            found: list[Contender] = []
            for scorer, held in zip(scorers, variants, strict=True):
                found += serve.contenders(scorer, held, requests, args.candidates)
            for threads in args.threads:
                as_in_runs(threads)
                rows += _in_turn(args, [one.with_threads(threads) for one in found], begin, refused)
                report.write(rows)  # what is ended early keeps what it measured
    for reason in refused.values():
        serve.say(f"not measured: {reason}")
    if args.prepare and report is not None:
        return 0
    if not rows or report is None:
        raise UserError("nothing that was asked for can be measured; the lines above say why")
    # Another process on the same cores delays a request, and does not change what it costs.
    clock = "cpu" if device.type == "cpu" else "wall"
    shown = ((row, [getattr(one, clock).p50 for one in row.closed]) for row in rows)
    cases = by_case((_case(row), _way(row), values) for row, values in shown)
    title = f"A request, past events x candidates: median {'CPU time' if clock == 'cpu' else 'latency'} under closed load"
    report.publish(rows, serve_tables.lines(rows), title, "ms", cases, {"refused": refused})
    return 0


def _in_turn(args: argparse.Namespace, found: list[Contender], begin: float, refused: dict[str, str]) -> list[ServeTime]:
    """The rows of contenders that were measured in every round that was begun; those that --minutes left out are refused."""
    from ...speed import serve

    for one in found:
        if not _late(args, begin):
            serve.warm_up(one)
    for at in range(args.rounds):
        if found and not _late(args, begin):
            first = found[0].row
            serve.say(f"{first.history} past events, {first.threads} thread(s), round {at + 1} of {args.rounds} ...")
        for one in found:
            if not _late(args, begin):
                serve.measure(one, args.load, args.seconds, at)
    left_out = [one.row for one in found if not one.row.closed]
    if left_out:
        row = left_out[0]
        which = f"{row.history} past events, {row.threads} thread(s)"
        refused[which] = f"{len(left_out)} of {len(found)} cases with {which}: the {args.minutes} minutes are over"
    return [one.row for one in found if one.row.closed]


def _late(args: argparse.Namespace, begin: float) -> bool:
    return args.minutes is not None and time.monotonic() - begin > 60 * args.minutes


def _variants(
    args: argparse.Namespace, scorer: Scorer, packages: Packages, refused: dict[str, str]
) -> dict[tuple[Form, Precision], Scorer]:
    """One model in each form and precision that was asked for; `refused` gets what cannot be had, with the reason."""
    held: dict[tuple[Form, Precision], Scorer] = {}
    for form in args.form:
        for precision in args.precision if form == "eager" else ("fp32",):
            try:
                held[form, precision] = scorer.in_precision(precision) if form == "eager" else packages.scorer(scorer, form)
            except UserError as error:
                refused[f"{scorer.info.name} {form} {precision}"] = str(error)
    return held


def _record(args: argparse.Namespace, scorer: Scorer, device: torch.device) -> str:
    """Its name."""
    of = args.history if args.weights is None else (scorer.info.name,)
    choices: dict[str, tuple[object, object]] = {
        "precision": (args.precision, PRECISION),
        "form": (args.form, FORM),
        "candidates": (args.candidates, CANDIDATES),
        "load": (args.load, LOAD),
    }
    if args.weights is None:
        choices["models"] = (registry.select(args.models), registry.select(SERVED))
    else:  # trained models of one kind are told apart by their bytes: files of all of them have the same names
        choices["weights"] = (file_hash(args.weights)[:8], None)
    return record_name(("serving", scorer.data.log.meta.name, *of, device.type, *args.threads), choices, args.set)


def _case(row: ServeTime) -> str:
    return f"{row.model}, {row.history:,} x {row.candidates:,}"


def _way(row: ServeTime) -> str:
    return f"{row.form} {row.precision}, past {row.past}, {row.threads} thread(s)"


def _measured(args: argparse.Namespace, device: torch.device, folder: Path) -> Iterator[tuple[Traffic, list[Scorer]]]:
    """Requests of each length of history, and the models that are asked for them."""
    from ...config import Settings
    from ...serving import Scorer
    from ...speed import serve

    roots, most = data_roots(args.data_root), max(args.candidates)
    if args.weights is not None:
        scorer = Scorer.load(args.weights, roots, device, args.dataset, "fp32")
        yield serve.traffic(scorer.data, most, args.requests), [scorer]
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
        requests = serve.traffic(data, most, args.requests)
        yield requests, [serve.scorer_of(model, data, settings, device) for model in models]


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive(part) for part in text.split(",")))


def _precisions(text: str) -> tuple[str, ...]:
    """In the order fp32, bf16, int8: others are held against the first."""
    known, given = ("fp32", "bf16", "int8"), text.split(",")
    if wrong := [part for part in given if part not in known]:
        raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}, not {wrong[0]!r}")
    return tuple(name for name in known if name in given)


def _forms(text: str) -> tuple[str, ...]:
    known, given = ("eager", "exported", "compiled"), text.split(",")
    if wrong := [part for part in given if part not in known]:
        raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}, not {wrong[0]!r}")
    return tuple(name for name in known if name in given)


def _threads(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(for_cores(part) for part in text.split(",")))


def _seconds(text: str) -> float:
    return number(text, lambda value: 0 < value < 3600, "a number of seconds above 0 and below 3600")


def _shares(text: str) -> tuple[float, ...]:
    if text == "none":
        return ()
    try:
        values = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        values = (0.0,)
    if not all(0 < value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"must be numbers above 0 and below 1, separated by commas, not {text!r}")
    return values
