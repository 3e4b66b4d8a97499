"""The command line: arguments and exit codes. A command's code is imported when it is called, so that help answers at once.

Exit codes: 0 done, 1 a run or a check failed, 2 wrong usage or input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from .. import __version__  # pyright: ignore[reportMissingImports]  (the folder above is a package only through src/rankbench)
from .errors import UserError
from .studies.catalog import STUDIES

EXAMPLES = {
    "": ("rankbench doctor", "rankbench run", "rankbench run --models din,hstu --dataset my.yaml --seeds 5", "rankbench board"),
    "doctor": ("rankbench doctor", "rankbench doctor --data-root my/data"),
    "ls": ("rankbench ls", "rankbench ls models", "rankbench ls models --markdown", "rankbench ls kernels"),
    "data": ("rankbench data get ml-100k", "rankbench data describe kuairand-pure --data-root my/data"),
    "run": (
        "rankbench run",
        "rankbench run --models din,hstu --seeds 5 --device cuda",
        "rankbench run --models classical --dataset simulator --split leave-one-out",
        "rankbench run --models hstu --set train.lr=2e-3 --set hstu.layers=3",
        "rankbench run --models hstu --kernel hstu_attention=torch",
        "rankbench run --config my.yaml --results my/results --no-resume",
    ),
    "sweep": (
        "rankbench sweep --models din,hstu --trials 20",
        "rankbench sweep --models classical,generative --dataset ml-1m --trials 30 --seconds 3600 --jobs 2",
        "rankbench sweep --models hstu --storage postgresql+psycopg://me@host/studies",
        "rankbench sweep --models hstu,llama --search hstu.head=mlp,dot,bilinear,target-attention --trials 30",
        "rankbench sweep --models din,hstu --search data.negative_rate=0.1..1:log",
        "rankbench sweep --redraw",
        "rankbench run --models din,hstu --config tuned --seeds 5",
    ),
    "predict": (
        "rankbench predict hstu --user 196 --top 5",
        "rankbench predict din --user 196 --items 242 302 377 --time 1998-04-23T10:00",
        "rankbench predict my/seed-0.safetensors --user u1 --items sku1 sku2 --context device=phone --dataset my.yaml",
    ),
    "study": (
        "rankbench study heads",
        "rankbench study ablation --dataset ml-1m --size full --seeds 5 --device cuda",
        "rankbench study negatives --models din,hstu --seeds 1 --set train.epochs=2",
        "rankbench study embedding --models din,hstu",
        "rankbench study history --set data.test_history=frozen --results my/results",
        "rankbench study time --models core",
        "rankbench study scaling --dataset ml-1m --size full --models din,hstu --series '* data'",
    ),
    "score": ("rankbench score", "rankbench score --results my/results"),
    "board": ("rankbench board", "rankbench board --dataset ml-100k --split global-time"),
    "report": (
        "rankbench report",
        "rankbench report --results results --out report.html",
        "rankbench report --results results --markdown --out LEADERBOARD.md",
    ),
    "check": ("rankbench check results", "rankbench check their/results --dataset my.yaml"),
    "bench": (
        "rankbench bench peers",
        "rankbench bench peers --dataset ml-1m --history-length 100 --rounds 5",
        "rankbench bench peers --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python",
        "rankbench bench quality --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python",
        "rankbench bench kernels --rounds 5",
        "rankbench bench stack --rounds 5 --threads 2",
        "rankbench bench train --models din,hstu,llama --dataset ml-1m",
    ),
}
"""Command -> lines that work as they stand (once the files that they name exist); shown below its help."""

RUN_HELP = """\
Train and test models on one data set, then show the leaderboard. A finished cell (model, settings, seed) is never trained
twice; one that was interrupted goes on from its last checkpoint. Under torchrun
(torchrun --nproc-per-node 2 -m rankbench run ...) all processes train each cell together."""


SWEEP_HELP = """\
Search the settings of models with Optuna: as many trials, and as much time, for each of them, judged by validation alone. The
first trial has the model's defaults. The same command joins a search that is under way, also from another machine that shares the
storage, and goes on with one that was interrupted; docs/sweeps.md says more."""


STUDY_HELP = """\
Ask one question of many runs: train what is not trained yet, then write a table, figures and what they show in words. A second
call trains nothing and writes the same. `rankbench ls studies` lists the questions; docs/studies.md says how to read answers."""


PREDICT_HELP = """\
Score candidates for a user at a moment, with the weights of a finished run and the history in the data set. A generative ranker
computes the history once for all candidates."""


REPORT_HELP = """\
Write one page that needs no network: the answer of every board, its leaderboard, figures, protocol, hashes and commands, and
the studies and sweeps beside it. It is made from the files of the folder and of stores below it; rankbench board makes those."""


CHECK_HELP = """\
Check a results folder that somebody contributes: every record read strictly and in its place, hashes of settings and splits
computed again, scores there and metrics recomputed from them where the data set is here, the same seeds for every row,
committed code, no simulated device. One line for each finding; exit code 1 if something is wrong. Test rows are made again
below DIR/rows."""


BENCH_HELP = """\
peers: training speed of DIN and HSTU beside the DIN of deepctr-torch and, with --models-from, of FuxiCTR, each under its own
trainer, in turn. quality: AUC, GAUC and logloss of DIN, DIEN and BST beside FuxiCTR's under its own trainer, with intervals and a
verdict; docs/peers.md says how. kernels: speed and errors of attention's implementations on this device, beside torch's own.
stack: HSTU's layers beside the same mathematics as padded tensors, on the CPU. train: training speed of our models with the
kernels of this machine and with torch's operations alone."""


class _Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest name that exists."""

    options: ClassVar[set[str]] = set()
    """Of all parsers: the one that reports an unknown option is not the one that has a similar option."""

    def add_argument(self, *names: str, **keywords: Any) -> argparse.Action:  # type: ignore[override]
        self.options.update(name for name in names if name.startswith("--"))
        return super().add_argument(*names, **keywords)

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        option = re.search(r"unrecognized arguments: (--\w[\w-]*)", message)
        near: list[str] = []
        if choice:
            near = difflib.get_close_matches(choice[1], re.findall(r"[\w-]+", choice[2]), n=1)
        elif option:
            near = difflib.get_close_matches(option[1], sorted(self.options), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self.exit(2, f"rankbench: error: {message}{hint} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    try:
        code = importlib.import_module(f".commands.{args.command}", __package__).run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("rankbench: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has left; what remains in the buffer goes nowhere, without a second error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except RuntimeError as error:
        if "TORCH_DEVICE_BACKEND_AUTOLOAD" not in str(error):
            raise
        from .doctor import why_torch_fails

        return _fail(why_torch_fails(error))


def process() -> NoReturn:
    """The whole process of a command: its exit code, and for one of several that trained together an end without Python's own.

    Threads of torch.distributed outlive their group; one that still wants the interpreter while that is taken down aborts all,
    and torchrun then ends the others, finished or not.
    """
    code = main()
    if "torch.distributed" in sys.modules and os.environ.get("WORLD_SIZE", "1") != "1":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _fail(message: str) -> int:
    print("rankbench: error:", " ".join(message.split("\n")), file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="rankbench", description="Generative rankers against classical ones, on identical examples.", **_style("")
    )
    parser.add_argument("--version", action="version", version=f"rankbench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, description: str | None = None) -> _Parser:
        return commands.add_parser(name, help=summary, description=description or summary, **_style(name))

    _add_roots(doctor := command("doctor", "say what this machine offers and lacks"))
    _add_results(doctor)

    ls = command("ls", "list models, data sets, metrics, studies and kernels")
    ls.add_argument(
        "kind", nargs="?", choices=("models", "datasets", "metrics", "studies", "kernels"), help="left out: all but kernels"
    )
    ls.add_argument("--device", default="auto", metavar="NAME", help="of kernels: which are chosen there (default: auto)")
    ls.add_argument("--markdown", action="store_true", help="models with papers, settings and differences: docs/models.md")

    data = command("data", "fetch a data set, or say what is in it")
    data.add_argument("action", choices=("get", "describe"), help="get: fetch and convert; describe: size, splits, licence ...")
    data.add_argument("name", metavar="NAME", help="a name of `rankbench ls datasets`, or a YAML file for your own table")
    _add_roots(data)

    _add_run(command("run", "train, test and compare models", RUN_HELP))

    _add_sweep(command("sweep", "search the best settings of models, with equal budgets", SWEEP_HELP))
    _add_study(command("study", "ask one question of many runs: heads, negatives, sizes ...", STUDY_HELP))

    score = command("score", "recompute metrics from stored scores")
    score.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or a YAML file for your own table")
    _add_roots(score)
    _add_results(score)

    _add_predict(command("predict", "score candidates for a user with trained weights", PREDICT_HELP))

    board = command("board", "leaderboard and figures from stored runs")
    board.add_argument("--dataset", metavar="NAME", help="only this data set: a name, or a YAML file for your own table")
    board.add_argument("--split", metavar="NAME", help="only this split")
    _add_roots(board)
    _add_results(board)

    report = command("report", "one HTML page of all boards, studies and sweeps", REPORT_HELP)
    report.add_argument("--markdown", action="store_true", help="instead: answers and brief tables of all boards, in Markdown")
    report.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: report.html or LEADERBOARD.md in the results folder)"
    )
    _add_results(report)

    check = command("check", "whether a folder of runs can stand beside ours", CHECK_HELP)
    check.add_argument("folder", type=Path, metavar="DIR", help="a results folder: records in runs/, scores beside them")
    check.add_argument("--dataset", metavar="FILE", help="the YAML file of your own table, where runs are of one")
    _add_roots(check)

    _add_bench(command("bench", "speed or quality beside other projects, on the same rows", BENCH_HELP))
    return parser


def _add_run(run: _Parser) -> None:
    run.add_argument(
        "--models", default="core", metavar="NAMES", help="names, families, core or all, separated by commas (default: core)"
    )
    _add_grid(run, "the leaderboard")


def _add_study(study: _Parser) -> None:
    study.add_argument("name", choices=tuple(STUDIES), metavar="NAME", help=f"one of {', '.join(STUDIES)}")
    study.add_argument("--models", metavar="NAMES", help="names, families, core or all (default: the study's own)")
    study.add_argument(
        "--size",
        choices=("small", "full"),
        default="small",
        help="small: minutes on ml-100k; full: for a finding (default: small)",
    )
    study.add_argument(
        "--series",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only series with such a name, and what they are compared with; may be repeated (default: all)",
    )
    _add_grid(study, "the answer")


def _add_grid(parser: _Parser, shown: str) -> None:
    """What run and study share: cells that are resumed, of several seeds."""
    _add_training(parser)
    parser.add_argument("--seeds", type=_positive, default=3, metavar="N", help="seeds 0 to N - 1 for each model (default: 3)")
    parser.add_argument(
        "--jobs", type=_positive, metavar="N", help="cells at a time (default: one a core; one on an accelerator)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML with sections data, train and one per model; tuned: what sweeps found"
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from checkpoints of interrupted runs (default: yes)",
    )
    parser.add_argument("--quiet", action="store_true", help=f"no progress, only {shown}")
    _add_roots(parser)
    _add_results(parser)


def _add_sweep(sweep: _Parser) -> None:
    sweep.add_argument(
        "--models", default="core", metavar="NAMES", help="names, families, core or all, separated by commas (default: core)"
    )
    _add_training(sweep)
    sweep.add_argument("--trials", type=_positive, default=20, metavar="N", help="of each model, at most (default: 20)")
    sweep.add_argument("--seconds", type=_positive, metavar="S", help="of training of each model, all trials (default: no limit)")
    sweep.add_argument("--seed", type=_whole, default=0, metavar="N", help="of the proposals; training has seed 0 (default: 0)")
    sweep.add_argument(
        "--prune", action=argparse.BooleanOptionalAction, default=True, help="end trials that are worse than most (default: yes)"
    )
    sweep.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="workers (default: 1, which proposes the same every time)"
    )
    sweep.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="SECTION.KEY=RANGE",
        help="search this too: values a,b, low..high or low..high:log; may be repeated",
    )
    sweep.add_argument("--storage", metavar="URL", help="database or journal file (default: sweeps/journal.log below --results)")
    sweep.add_argument("--config", type=Path, metavar="FILE", help="YAML with settings that are fixed, not searched")
    sweep.add_argument("--redraw", action="store_true", help="figures again, from stored trials; nothing is trained")
    sweep.add_argument("--quiet", action="store_true", help="no progress, only what was found")
    _add_roots(sweep)
    _add_results(sweep)


def _add_training(parser: _Parser) -> None:
    """What every command has that trains models: on what, where and how."""
    parser.add_argument("--dataset", metavar="NAME", help="a registered name or a YAML file (default: ml-100k)")
    parser.add_argument(
        "--split", metavar="NAME", help="global-time, per-user-time, leave-one-out, ... (default: the data set's own)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, npu or cuda:1 (default: auto)")
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads of a process on the CPU (default: 1)")
    parser.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="OPERATION=NAME",
        help="an implementation of `ls kernels`; may be repeated",
    )
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="one setting; may be repeated")


def _add_predict(predict: _Parser) -> None:
    predict.add_argument(
        "model", metavar="MODEL", help="a .safetensors file below --results, or the name of a model trained there"
    )
    predict.add_argument("--user", required=True, metavar="ID", help="as in the source data")
    predict.add_argument("--items", nargs="+", metavar="ID", help="candidates, as in the source data (default: every item)")
    predict.add_argument("--time", metavar="WHEN", help="2022-05-01T12:30 or seconds since 1970 (default: after the last event)")
    predict.add_argument("--context", action="append", default=[], metavar="COLUMN=VALUE", help="logged context; may be repeated")
    predict.add_argument("--top", type=_positive, default=10, metavar="N", help="lines shown, best first (default: 10)")
    predict.add_argument("--dataset", metavar="NAME", help="which data set's run; your own table: its YAML file")
    predict.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, npu or cuda:1 (default: auto)")
    _add_roots(predict)
    _add_results(predict)


def _add_bench(bench: _Parser) -> None:
    bench.add_argument(
        "against",
        choices=("peers", "quality", "kernels", "stack", "train"),
        help="peers: speed; quality: AUC, GAUC, logloss; kernels: attention; stack: HSTU layers; train: our models",
    )
    bench.add_argument(
        "--dataset", default="ml-100k", metavar="NAME", help="a name or a YAML file; kernels: or several (default: ml-100k)"
    )
    bench.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads on the CPU (default: 1)")
    speed = bench.add_argument_group("peers")
    speed.add_argument("--history-length", type=_positive, default=50, metavar="L", help="events of history (default: 50)")
    speed.add_argument("--rounds", type=_positive, default=3, metavar="N", help="of each, in turn (default: 3)")
    fuxictr = bench.add_argument_group("peers and quality")
    fuxictr.add_argument("--models-from", type=Path, metavar="DIR", help="folder model_zoo of a FuxiCTR checkout")
    fuxictr.add_argument("--python", default=sys.executable, metavar="FILE", help="Python that has fuxictr (default: this one)")
    quality = bench.add_argument_group("quality")
    quality.add_argument(
        "--models", metavar="NAMES", help="some of din, dien, bst (default: all three); train: any (default: din,hstu)"
    )
    quality.add_argument(
        "--dropout", type=_share, nargs="+", default=[0.0], metavar="P", help="of FuxiCTR's (default: 0, as shipped)"
    )
    quality.add_argument("--split", default="chrono-rank", metavar="NAME", help="(default: chrono-rank)")
    quality.add_argument("--seeds", type=_positive, default=3, metavar="N", help="seeds 0 to N - 1 for each model (default: 3)")
    quality.add_argument("--jobs", type=_positive, metavar="N", help="runs at a time (default: one a core)")
    kernels = bench.add_argument_group("kernels and train")
    kernels.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, npu or cuda:1 (default: auto)")
    kernels.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32", help="of kernels (default: fp32)")
    kernels.add_argument("--seconds", type=_positive, default=5, metavar="N", help="of training in a turn (default: 5)")
    _add_roots(bench)
    _add_results(bench)


def _add_roots(parser: _Parser) -> None:
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="published data, a folder each (default: RANKBENCH_DATA)")


def _add_results(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("results/local"), metavar="DIR", help="records and boards (default: results/local)"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to below 1, not {text!r}")
    return value


def _style(command: str) -> dict[str, Any]:
    """Keywords that every (sub)parser shares."""
    examples = "\n".join(f"  {line}" for line in EXAMPLES[command])
    return {
        "epilog": f"examples:\n{examples}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
