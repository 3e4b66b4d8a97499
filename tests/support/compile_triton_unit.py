"""Compiles the activation unit's programs for a GPU, without one: `python compile_triton_unit.py CARD DTYPE Q H1 H2 TABLES`
(CARD: 80 or 90; H2 may be 0).

Prints for each its name and the bytes of shared memory that it takes.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rankbench.kernels.target_attention import gpu, programs

SINGLE = ("query", "key", "out_bias", "d_key", "d_product", "d_out")
"""float32 whatever the type of products is."""


def compiled(name: str, card: int, dtype: str, size: int, first: int, second: int, tables: int) -> int:
    """Bytes of shared memory."""
    program: Any = getattr(programs, name)
    fixed = {**gpu.fixed(size, first, second, tables), "PRECISION": "tf32x3"}
    signature, constants, aligned = {}, {}, {}
    for at, argument in enumerate(program.arg_names):
        if argument in fixed:
            signature[argument], constants[(at,)] = "constexpr", fixed[argument]
        elif argument in ("T", "n"):
            signature[argument] = "i32"
        else:
            signature[argument] = "*" + ("i64" if argument in ("ids", "example_of") else "fp32" if argument in SINGLE else dtype)
            aligned[(at,)] = [["tt.divisibility", 16]]  # as torch allocates them
    source = ASTSource(program, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", card, 32), options={"num_warps": gpu.WARPS}).metadata.shared


if __name__ == "__main__":
    for one in ("forward", "backward"):
        print(one, compiled(one, int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:7])), flush=True)
