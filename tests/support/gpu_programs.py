"""Which implementation of each operation a GPU gets: `python -m support.gpu_programs`. Fails where one that was written for it is
refused there. Compiled code is built on the way, so that no later step waits for it."""

from __future__ import annotations

import sys

import torch

from rankbench.bench import implementations  # noqa: F401 - registers all operations
from rankbench.kernels.dispatch import OPERATIONS


def main() -> int:
    """0 if nothing is refused, or there is no GPU."""
    there, refused = torch.cuda.is_available(), 0
    # As those ask who score first.
    with torch.inference_mode():
        for operation, ways in OPERATIONS.items():
            for one in ways:
                reason = one.why_unavailable()
                print(f"{operation}={one.name}: {reason or 'available'}", flush=True)
                refused += one.device == "cuda" and reason is not None
    return int(there and refused > 0)


if __name__ == "__main__":
    sys.exit(main())
