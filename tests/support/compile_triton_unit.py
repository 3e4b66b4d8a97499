"""Compiles the activation unit's programs for a GPU, without one: `python compile_triton_unit.py CARD DTYPE Q H1 H2 TABLES`
(CARD: 80 or 90; H2 may be 0).

Prints for each its name and the bytes that it takes of shared memory, and, a thread, of memory beyond the registers.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rankbench.kernels.target_attention import gpu, programs
from support.resources_of import Taken, resources_of

SINGLE = ("query", "key", "out_bias", "d_key", "d_product", "d_out")
"""float32 whatever the type of products is."""


def compiled(name: str, card: int, dtype: str, size: int, first: int, second: int, tables: int) -> Taken:
    program: Any = getattr(programs, name)
    fixed = {**gpu.fixed(size, first, second, tables, gpu._SINGLE if dtype == "fp32" else gpu._HALF), "PRECISION": "tf32x3"}
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
    return resources_of(triton.compile(source, target=GPUTarget("cuda", card, 32), options={"num_warps": gpu.WARPS}))


if __name__ == "__main__":
    for one in ("forward", "backward"):
        print(one, *compiled(one, int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:7])), flush=True)
