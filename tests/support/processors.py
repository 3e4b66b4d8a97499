"""The same work with the arithmetic of several processors, each of which adds in an order of its own.

OpenBLAS (NumPy's and SciPy's matrices), NumPy's own loops, ATen and oneDNN (torch's) choose their code by the processor when they
are loaded, and read from the environment which one they shall take instead; so a process of its own is needed for each.

`python -m support.processors COMMAND...` runs a command as each processor that this one can stand for, and ends with the first
exit code that is not 0.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Processor:
    needs: frozenset[str]
    """What a processor must have to stand for this one, as /proc/cpuinfo calls it; another ends with an illegal instruction."""
    numpy_without: str
    """NPY_DISABLE_CPU_FEATURES. NumPy passes over names that this processor or another version of NumPy does not know."""
    aten: str
    """ATEN_CPU_CAPABILITY."""
    onednn: str
    """DNNL_MAX_CPU_ISA."""

    def environment(self, name: str) -> dict[str, str]:
        return {
            "OPENBLAS_CORETYPE": name,
            "NPY_DISABLE_CPU_FEATURES": self.numpy_without,
            "ATEN_CPU_CAPABILITY": self.aten,
            "DNNL_MAX_CPU_ISA": self.onednn,
        }


AVX512 = "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
AVX2 = f"X86_V3 AVX2 FMA3 {AVX512}"
PROCESSORS = {
    "Nehalem": Processor(frozenset({"sse4_2"}), f"AVX F16C {AVX2}", "default", "SSE41"),
    "Sandybridge": Processor(frozenset({"avx"}), AVX2, "default", "AVX"),
    "Haswell": Processor(frozenset({"avx2", "fma"}), AVX512, "avx2", "AVX2"),
    "SkylakeX": Processor(frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"}), "", "avx512", "AVX512_CORE"),
}
"""By the names of OpenBLAS: vectors of 128 and 256 bits, 256 with fused products, 512. Of the other names that it knows, some
have the same arithmetic: that of Zen is Haswell's."""


def at_hand() -> tuple[str, ...]:
    """Those for which this processor can stand."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return ()
    return tuple(name for name, processor in PROCESSORS.items() if processor.needs <= flags)


def as_each_processor(
    arguments: Sequence[str], folder: Path, threads: Sequence[int] = (1,), **environment: str
) -> Mapping[tuple[str, int], subprocess.CompletedProcess[str]]:
    """Python with `arguments` as each processor and with each number of threads, one process after the other.

    Args:
        arguments: `{name}` in them stands for a name of its own for each process, for example of a folder of results.
        folder: where the processes work.
    """
    done = {}
    for name in at_hand():
        for count in threads:
            own = {**PROCESSORS[name].environment(name), "OPENBLAS_NUM_THREADS": str(count), "OMP_NUM_THREADS": str(count)}
            done[name, count] = subprocess.run(
                [sys.executable, *(argument.replace("{name}", f"{name}-{count}") for argument in arguments)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment, **own},
                capture_output=True,
                text=True,
            )
    return done


def main(command: Sequence[str]) -> int:
    for name in at_hand():
        print(f"as {name}", flush=True)
        code = subprocess.run(command, env={**os.environ, **PROCESSORS[name].environment(name)}).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
