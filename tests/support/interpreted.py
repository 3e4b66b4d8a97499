"""`python -m support.interpreted VERB ...`: the command line on a CPU, with Triton's programs in its interpreter."""

from __future__ import annotations

import os
import sys

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

from dataclasses import replace

from rankbench.bench import cli, implementations  # noqa: F401 - registers all operations
from rankbench.kernels.dispatch import OPERATIONS


def main(arguments: list[str]) -> int:
    """The exit code of the command."""
    for operation in ("hstu_attention", "hstu_layer", "activation_unit"):
        interpreted = [replace(one, device="cpu", probe=lambda: None) for one in OPERATIONS[operation] if one.name == "triton"]
        others = [one for one in OPERATIONS[operation] if one.name != "triton"]
        OPERATIONS[operation] = (*interpreted, *others)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
