"""`rankbench speed large`: steps of large models with long histories, alone or in processes of torchrun."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ... import registry
from ..measured import SpeedReport, add_rounds, as_in_runs, by_case, record_name, writable
from ..options import add_device, add_models, add_results, add_threads
from ..parser import Assign, Parser
from ..values import positive

HELP = """\
Measure training steps of large generative rankers on a simulated log: milliseconds, peak memory, and model FLOPs beside those
of the device's own matrix product and its vendor's number (MFU; what counts: docs/howto/large-models.md). Sizes: tiny (32
numbers x 2 layers, histories of 20 events), base (512 x 8, 1,024), long (512 x 12, 4,096), large (1,024 x 16, 2,048), huge
(1,024 x 24, 8,192); --set changes each of them. Under torchrun, a model is copied to each process or parted among them."""

EXAMPLES = (
    "rankbench speed large --sizes tiny --set train.recompute=true",
    "rankbench speed large --device cuda --sizes base,large --set train.precision=bf16 --set train.whole_step=graph",
    "torchrun --nproc-per-node 8 -m rankbench speed large --device cuda --sizes huge --sharding fsdp --set train.precision=bf16",
    "torchrun --nproc-per-node 8 -m rankbench speed large --sizes base --sharding rows --items 1000000 "
    "--set train.table_optimizer=rowwise-adagrad",
)


MODELS = "hstu"


def add(parser: Parser) -> None:
    add_models(parser, MODELS)
    parser.add_argument("--sizes", default="tiny", metavar="NAMES", help="of tiny, base, long, large and huge (default: tiny)")
    parser.add_argument(
        "--sharding", choices=("copies", "fsdp", "rows", "fsdp-rows"), default="copies",
        help="of several processes: each has the model, or a part of it; with rows, a part of the rows of each large table, by "
        "TorchRec (default: copies)",
    )  # fmt: skip
    parser.add_argument(
        "--items", type=positive, metavar="N",
        help="of the simulated log; a table has a row for each that occurs (default: as many as speed serve simulates)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=positive, default=4, metavar="N", help="of each round, the same batches each time (default: 4)"
    )
    parser.add_argument(
        "--set", action=Assign, default=[], metavar="SECTION.KEY=VALUE", help="change one setting; may be repeated"
    )
    add_device(parser)
    add_rounds(parser)
    add_threads(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    from ...config import Settings
    from ...errors import UserError, unknown_name
    from ...speed import large
    from ...speed.serve import SIMULATED_ITEMS, simulated
    from ...training.team import assembled, started_by_torchrun

    sizes = args.sizes.split(",")
    for name in sizes:
        if name not in large.SIZES:
            raise unknown_name("size", name, large.SIZES)
    settings = Settings().changed(args.set, models)
    as_in_runs(args.threads)
    if args.sharding != "copies" and not started_by_torchrun():
        raise UserError(f"--sharding {args.sharding} parts a model among the processes of torchrun: start it with torchrun")
    with assembled(args.device, of_one=args.sharding != "copies") as (team, device):
        store = team.from_leader(lambda: writable(args)) if team.size == 1 else writable(args)
        said = f"simulated log, {args.rounds} round(s) of {args.steps} steps"
        words = ("large", *sizes, device.type, team.size, args.sharding, args.threads)
        name = record_name(words, {"models": (models, registry.select(MODELS)), "items": (args.items, None)}, args.set)
        report = SpeedReport(store, name, device, said)
        runs: list[large.LargeRun] = []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                experiments = [large.experiment_of(model, large.SIZES[size], settings) for model in models]
                data = simulated(experiments[0].data.history_length, Path(folder) / "simulated", args.items or SIMULATED_ITEMS)
                for experiment in experiments:
                    if team.leads:
                        print(f"{experiment.model} {size} ...", file=sys.stderr, flush=True)
                    with team.in_step():
                        runs.append(large.measure(experiment, size, data, device, team, args.sharding, args.steps, args.rounds))
                    if team.leads:
                        report.write(runs)  # what is ended early keeps its rows
        if team.leads:
            cases = by_case((f"{one.model} {one.size}", one.ways or "plain", one.step_ms) for one in runs)
            report.publish(runs, large.lines(runs), "A training step of a large model", "ms", cases)
    return 0
