"""`python -m support.interpreted VERB ...`: the command line on a CPU, with Triton's programs in its interpreter."""

from __future__ import annotations

import os
import sys

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

from rankbench.bench import cli
from rankbench.kernels.dispatch import OPERATIONS, Implementation, forced
from rankbench.kernels.hstu_attention import triton


def main(arguments: list[str]) -> int:
    """The exit code of the command."""
    others = tuple(one for one in OPERATIONS["hstu_attention"] if one.name != "triton")
    OPERATIONS["hstu_attention"] = (Implementation("triton", triton.attention, device="cpu"), *others)
    # One program for a whole layer would do the attention's work.
    with forced({"hstu_layer": "torch"}):
        return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
