"""The same work with the arithmetic of several processors: each kernel of OpenBLAS adds in an order of its own.

OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, so that a process of its own is needed for each. `python blas.py` prints the
kernels that run here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NEEDS = {
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
}
"""Kernel -> what a processor must have, as /proc/cpuinfo calls it; another one ends with an illegal instruction."""


def kernels() -> tuple[str, ...]:
    """Those that this processor can run."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return ()
    return tuple(name for name, needed in NEEDS.items() if needed <= flags)


def under_each_kernel(
    arguments: Sequence[str], folder: Path, threads: Sequence[int] = (1,), **environment: str
) -> Mapping[tuple[str, int], subprocess.CompletedProcess[str]]:
    """Python with `arguments` under each kernel and number of threads, one process after the other.

    Args:
        arguments: `{name}` in them stands for a name of its own for each process, for example of a folder of results.
        folder: where the processes work.
    """
    done = {}
    for kernel in kernels():
        for count in threads:
            own = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(count), "OMP_NUM_THREADS": str(count)}
            done[kernel, count] = subprocess.run(
                [sys.executable, *(argument.replace("{name}", f"{kernel}-{count}") for argument in arguments)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment, **own},
                capture_output=True,
                text=True,
            )
    return done


if __name__ == "__main__":
    print(*kernels())
