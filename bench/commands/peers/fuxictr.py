"""Where FuxiCTR is: options of the verbs that measure it."""

from __future__ import annotations

import sys
from pathlib import Path

from ..parser import Parser

ZOO = "the folder model_zoo of a FuxiCTR checkout"


def add_fuxictr(parser: Parser, required: bool) -> None:
    parser.add_argument(
        "--models-from",
        type=Path,
        required=required,
        metavar="DIR",
        help=f"{ZOO}; docs/results/peers.md says how to get it" + ("" if required else " (default: FuxiCTR is left out)"),
    )
    parser.add_argument(
        "--python", default=sys.executable, metavar="FILE", help="the Python that has fuxictr installed (default: this one)"
    )
