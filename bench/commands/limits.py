"""What a command that trains may take, by the options of all of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import UserError
from .parser import Parser
from .values import above_zero

if TYPE_CHECKING:
    from ..training.limits import Limits


LIMITS = ("--max-hours", "--max-memory")


def add_limits(parser: Parser) -> None:
    parser.add_argument(
        "--max-hours",
        type=above_zero,
        metavar="H",
        help="stop after so much time, keep checkpoints and say what is missing; the same command goes on (default: no limit)",
    )
    parser.add_argument(
        "--max-memory",
        type=above_zero,
        metavar="GIB",
        help="stop what is trained in a process that holds more than so many GiB, and go on with the rest (default: no limit)",
    )


def limits(args: argparse.Namespace) -> Limits:
    """What `add_limits` was given; the time begins now.

    Raises:
        UserError: a limit that can never be reached.
    """
    from ..resources import memory
    from ..training.limits import Limits

    total = memory().total_gb
    if args.max_memory is not None and args.max_memory > total:
        raise UserError(f"--max-memory {args.max_memory:g} is more than the {total:.1f} GiB of this machine; leave it out")
    return Limits.from_now(args.max_hours, args.max_memory)
