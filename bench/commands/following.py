"""Where the events of training go besides the terminal, by the options of every command that trains."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .parser import Parser

if TYPE_CHECKING:
    from ..training.follow import Followed


FOLLOWED = ("--log-json", "--tensorboard", "--mlflow")


def add_followed(parser: Parser) -> None:
    parser.add_argument(
        "--log-json", type=Path, metavar="FILE", help="append what happens to a file, one line of JSON for each event"
    )
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write curves for TensorBoard, a folder for each cell")
    parser.add_argument(
        "--mlflow", metavar="URI", help="keep settings and curves as runs of MLflow: sqlite:///FILE, or the address of a server"
    )


def followed(args: argparse.Namespace) -> Followed:
    """What `add_followed` was given."""
    from ..training.follow import Followed

    return Followed(args.log_json, args.tensorboard, args.mlflow)
