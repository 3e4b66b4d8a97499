"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from ..errors import UserError
from .following import add_followed
from .limits import add_limits
from .parser import Assign, Parser
from .values import between_half_and_one, for_cores, positive


def add_models(parser: Parser, default: str) -> None:
    """`--models`, of a benchmark or a sweep."""
    parser.add_argument(
        "--models",
        default=default,
        metavar="NAMES",
        help=f"names, families, core, all, or Python files of your own models, separated by commas (default: {default})",
    )


def add_training(parser: Parser) -> None:
    """What every command has that trains models: on what, where and how."""
    parser.add_argument("--dataset", metavar="NAME", help="a registered name or a YAML file (default: ml-100k)")
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="global-time, per-user-time, leave-one-out, chrono-rank or declared (default: the data set's own)",
    )
    add_protocol(parser, "split, ask and score as others do")
    add_device(parser)
    add_threads(parser)
    parser.add_argument(
        "--kernel",
        action=Assign,
        default=[],
        metavar="OPERATION=NAME",
        help="use this implementation (rankbench ls kernels shows them); may be repeated",
    )
    parser.add_argument(
        "--set", action=Assign, default=[], metavar="SECTION.KEY=VALUE", help="change one setting; may be repeated"
    )


def add_grid(parser: Parser, shown: str) -> None:
    """What run and study share: cells of several seeds that are resumed.

    Args:
        shown: what is printed even with --quiet.
    """
    add_training(parser)
    add_seeds(parser)
    parser.add_argument(
        "--jobs",
        type=for_cores,
        metavar="N",
        help="how many cells are trained at a time (default: one per core; one on an accelerator)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a YAML file with the sections data, train and one per model; or the word tuned: what sweeps found",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from checkpoints of interrupted runs (default: yes)",
    )
    parser.add_argument("--quiet", action="store_true", help=f"show no progress, only {shown}")
    add_limits(parser)
    add_followed(parser)
    add_roots(parser)
    add_results(parser)


def add_protocol(parser: Parser, does: str) -> None:
    parser.add_argument("--protocol", metavar="NAME", help=f"{does}: a name that `rankbench ls protocols` shows (default: none)")


def add_target(parser: Parser) -> None:
    """Of a protocol that asks what it takes to reach a quality."""
    parser.add_argument(
        "--target",
        type=between_half_and_one,
        metavar="AUC",
        help="with a protocol that goes through time: the AUC of the next window to reach (default: the protocol's)",
    )
    parser.add_argument(
        "--envelope",
        type=Path,
        metavar="DIR",
        help="with such a protocol: a results folder whose seeds curves are held against (default: the row's other seeds)",
    )


def add_seeds(parser: Parser) -> None:
    parser.add_argument(
        "--seeds", type=positive, default=3, metavar="N", help="train each model with the seeds 0 to N - 1 (default: 3)"
    )


def add_device(parser: Parser) -> None:
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, npu or cuda:1 (default: auto)")


def add_precision(parser: Parser) -> None:
    """Of a model that serves."""
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "int8"),
        help="to compute in; int8: linear maps alone, on the CPU (default: that of the training, of a package its own)",
    )


def add_threads(parser: Parser) -> None:
    parser.add_argument(
        "--threads", type=for_cores, default=1, metavar="N", help="how many threads a process has on the CPU (default: 1)"
    )


def add_roots(parser: Parser) -> None:
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="where published data lie, one folder per data set (default: the variable RANKBENCH_DATA)",
    )


def add_results(parser: Parser) -> None:
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results/local"),
        metavar="DIR",
        help="the folder of records and boards (default: results/local)",
    )


def add_storage(parser: Parser, default: str, hand_out: bool = True) -> None:
    """Of work that several machines share.

    Args:
        default: what holds without it.
        hand_out: the command knows from the start what it will ask for, so that it need not stay.
    """
    parser.add_argument("--storage", metavar="URL", help=f"a database or journal file (default: {default})")
    if hand_out:
        parser.add_argument(
            "--hand-out",
            action="store_true",
            help="only ask for the work in the storage: rankbench worker does it, on any machine",
        )


def refuse_beside(args: argparse.Namespace, what: str, useless: Collection[str]) -> None:
    """Let options that do nothing be errors.

    Args:
        what: the start of the sentence: who makes no use of them.

    Raises:
        UserError: one of the options `useless` was given.
    """
    if extra := sorted(args.given & set(useless)):
        raise UserError(f"{what} makes no use of {', '.join(extra)}; leave it out")
