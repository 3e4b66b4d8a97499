"""`python -m rankbench` is the command `rankbench`."""

from __future__ import annotations

import sys
from typing import NoReturn


def process() -> NoReturn:
    """The whole process of a command, from the first import on."""
    try:
        from .bench import cli
    except KeyboardInterrupt:
        print("rankbench: interrupted before anything began", file=sys.stderr)
        sys.exit(130)
    cli.process()


if __name__ == "__main__":
    process()
