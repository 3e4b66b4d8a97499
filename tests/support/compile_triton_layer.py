"""Compiles the layer's programs for a GPU, without one: `python compile_triton_layer.py CARD DTYPE WIDTH` (CARD: 80 or 90).

Prints for each its name and the bytes that it takes of shared memory, and, a thread, of memory beyond the registers.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rankbench.kernels.triton_layer import function, products, rows
from support.resources_of import Taken, resources_of

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SINGLE = ("mean", "scale", "a_mean", "a_scale", "x_mean", "x_scale", "x", "y", "dx", "grad", "bias")
"""float32 whatever the type of products is."""
PROGRAMS: dict[str, Any] = {
    **{name: getattr(products, name) for name in ("project", "output")},
    **{
        name: getattr(rows, name) for name in ("moments", "normalise", "split", "gate_backward", "silu_backward", "norm_backward")
    },
}


def compiled(name: str, card: int, dtype: str, width: int) -> Taken:
    program, tile = PROGRAMS[name], function.product_tile(TYPES[dtype])
    fixed = {
        "D": width, "N": 4 * width, "BD": function.padded(width), "ROWS": function.rows_at_once(width), "KEEP": True,
        "DROPOUT": True, "CLEAN": True, "BM": tile.rows, "BN": tile.columns, "BK": tile.inputs, "PRECISION": "tf32x3",
    }  # fmt: skip
    signature, constants, aligned = {}, {}, {}
    for at, argument in enumerate(program.arg_names):
        if argument in fixed:
            signature[argument], constants[(at,)] = "constexpr", fixed[argument]
        elif argument in ("T", "rate", "epsilon"):
            signature[argument] = "i32" if argument == "T" else "fp32"
        else:
            signature[argument] = "*" + ("i64" if argument == "seed" else "fp32" if argument in SINGLE else dtype)
            aligned[(at,)] = [["tt.divisibility", 16]]  # as torch allocates them
    warps = tile.warps if name in ("project", "output") else 4 if width <= 1024 else 8
    source = ASTSource(program, signature, constants, aligned)
    return resources_of(triton.compile(source, target=GPUTarget("cuda", card, 32), options={"num_warps": warps}))


if __name__ == "__main__":
    for one in PROGRAMS:
        print(one, *compiled(one, int(sys.argv[1]), sys.argv[2], int(sys.argv[3])), flush=True)
