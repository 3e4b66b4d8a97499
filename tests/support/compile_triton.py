"""Compiles the programs for a GPU, without one: `python compile_triton.py CARD DTYPE SIZE SOFTMAX DETERMINISTIC`
(CARD: 80 or 90).

Prints for each the bytes of shared memory, and of memory in which a thread keeps what does not fit its registers.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rankbench.kernels.hstu_attention.triton import backward, forward, tiles
from rankbench.kernels.hstu_attention.triton.blocks import LANES
from support.resources_of import Taken, resources_of

ROWS = ("q", "k", "v", "out", "grad", "dq", "dk", "dv")
SUMS = ("lse", "delta", "inverse", "position_sums", "time_sums", "position_table", "time_table")
NUMBERS = ("T", "H", "R", "BUCKETS", "COPIES")
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def compiled(
    name: tiles.Program, card: int, dtype: str, size: int, softmax: bool, deterministic: bool, tile: tiles.Tile | None = None
) -> Taken:
    program: Any = getattr(forward if name == "forward" else backward, name)
    tile = tile or tiles.tile(name, size, TYPES[dtype], card)
    fixed = {
        "POSITION": True, "TIME": True, "OWN_TIME": True, "SOFTMAX": softmax, "D": size, "DV": size, "BD": size, "BDV": size,
        "POSITION_HEADS": 1, "TIME_HEADS": 1, "BM": tile.queries, "BN": tile.keys, "LANES": LANES, "PRECISION": "tf32x3",
        "DETERMINISTIC": deterministic,
    }  # fmt: skip
    absent = ("inverse",) if softmax else ("lse", "delta")
    signature, constants, aligned = {}, {}, {}
    for at, argument in enumerate(program.arg_names):
        if argument in fixed or argument in absent:
            signature[argument], constants[(at,)] = "constexpr", fixed.get(argument)
        elif argument in NUMBERS or argument == "alpha":
            signature[argument] = "fp32" if argument == "alpha" else "i32"
        else:
            kind = dtype if argument in ROWS else "fp32" if argument in SUMS else "i64" if argument == "own_bucket" else "i32"
            signature[argument] = "*" + kind
            aligned[(at,)] = [["tt.divisibility", 16]]  # as torch allocates them
    source = ASTSource(program, signature, constants, aligned)
    return resources_of(triton.compile(source, target=GPUTarget("cuda", card, 32), options={"num_warps": tile.warps}))


if __name__ == "__main__":
    asked = (int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "True", sys.argv[5] == "True")
    for one in tiles.PROGRAMS:
        print(*compiled(one, *asked))
