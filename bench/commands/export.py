"""`rankbench export`: a trained model as a package that scores without the model's own code."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import registry
from ..errors import UserError
from .options import add_roots, refuse_beside
from .parser import Parser
from .roots import data_roots

if TYPE_CHECKING:
    from ..data.dataset import RankingData

HELP = """\
Write the model of a file of weights as a package (.pt2) of torch.export, or of AOTInductor with --kind compiled, which needs a
C++ compiler. Its scores are held against those of the model before it is written. `rankbench serve` and `rankbench predict` take
packages in place of weights. With --try no package is written: each of the named models is exported, with random weights, on a
small simulated log, and a table says which can be, and why the others cannot."""

EXAMPLES = (
    "rankbench export --weights my/seed-0.safetensors --dataset my.yaml",
    "rankbench export --weights my/seed-0.safetensors --dataset my.yaml --kind compiled --out my/compiled.pt2",
    "rankbench export --try din,hstu,dien",
)


def add(parser: Parser) -> None:
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a file of weights (.safetensors)")
    parser.add_argument(
        "--dataset", metavar="NAME", help="the data set that the model was trained on; for your own table its YAML file"
    )
    parser.add_argument(
        "--kind", choices=("exported", "compiled"), default="exported", help="graph or machine code (default: exported)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where it is written, ending in .pt2 (default: beside the weights)"
    )
    parser.add_argument("--try", dest="tried", metavar="NAMES", help="which of these models can be exported; `all` for every one")
    add_roots(parser)


def run(args: argparse.Namespace) -> int:
    if args.tried is not None:
        refuse_beside(args, "--try", {"--weights", "--dataset", "--kind", "--out", "--data-root"})
        return _try(args.tried)
    if args.weights is None:
        raise UserError("give the --weights of a run, or --try NAMES to see which models can be exported")
    from ..export.package import SUFFIX

    path: Path = args.out or args.weights.with_suffix(SUFFIX)
    if path.suffix != SUFFIX:
        raise UserError(f"--out {path}: a package ends in {SUFFIX}")
    if args.weights.suffix == SUFFIX:
        raise UserError(f"--weights {args.weights} is a package already; name a file of weights (.safetensors)")
    _export(args, path)
    return 0


def _export(args: argparse.Namespace, path: Path) -> None:
    import torch

    from ..export import package
    from ..export.equal import TOLERANCE, largest_difference
    from ..export.programs import trace
    from ..records import weights
    from ..serving import Scorer

    scorer = Scorer.load(args.weights, data_roots(args.data_root), torch.device("cpu"), args.dataset, "fp32")
    programs = trace(scorer.model, scorer.info, scorer.data)
    content = package.to_bytes(programs, weights.read(args.weights)[1], args.kind)
    with tempfile.TemporaryDirectory() as folder:  # what is held against the model is what will be read
        made = Path(folder) / path.name
        made.write_bytes(content)
        packaged = package.load(made, package.read_header(made))
        apart = largest_difference(scorer.model, packaged, scorer.info, scorer.data)
    if not apart <= TOLERANCE:
        raise UserError(
            f"the package of {scorer.info.name} would differ from its model by {apart:.1e} of a logit, more than "
            f"{TOLERANCE:.0e}; it is not written"
        )
    package.write(path, content)
    print(f"{path}: {scorer.info.name}, {args.kind}, programs {', '.join(programs)}; largest difference of a logit {apart:.1e}")


def _try(names: str) -> int:
    """A table of models, with the reason of each that cannot be exported."""
    models = registry.select(names)
    print("| model | programs | largest difference of a logit, or why not |", "|---|---|---|", sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        data = _simulated(Path(folder) / "log")
        for name in models:
            print(_row(name, data), flush=True)
    return 0


def _simulated(folder: Path) -> RankingData:
    from ..config import DataConfig
    from ..data.dataset import prepare_log
    from ..data.eventlog import write_log
    from ..data.sources.simulator import SimulatorConfig, simulate

    raw = simulate(SimulatorConfig(events=2_000, users=40, items=100), "simulated")
    return prepare_log(write_log(raw, folder), DataConfig("simulated", history_length=10))


def _row(name: str, data: RankingData) -> str:
    from ..export.equal import largest_difference
    from ..export.package import ranker_of
    from ..export.programs import example_model, trace

    info = registry.info(name)
    model = example_model(info, data.spec)
    try:
        programs = trace(model, info, data)
    except UserError as error:
        return f"| {name} | none | {str(error).partition(': ')[2]} |"
    apart = largest_difference(model, ranker_of(programs), info, data)
    return f"| {name} | {', '.join(programs)} | {apart:.0e} |"
