"""Compiles the programs for a GPU, without one: `python compile_triton.py DTYPE SIZE SOFTMAX`.

Prints for each the bytes of shared memory, and of memory in which a thread keeps what does not fit its registers.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rankbench.kernels.hstu_attention import triton as on_gpu
from rankbench.kernels.hstu_attention import triton_programs

A100 = GPUTarget("cuda", 80, 32)
ROWS = ("q", "k", "v", "out", "grad", "dq", "dk", "dv")
NUMBERS = ("T", "H", "R", "POSITION_HEADS", "BUCKETS", "TIME_HEADS")
INTEGERS = ("lo", "hi", "position", "query_time", "key_time", "first", "last", "own_bucket", "borders")


def compiled(program: Any, dtype: str, size: int, softmax: bool) -> tuple[int, int]:
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    options = on_gpu.launch(size, kind)
    fixed = {
        "BORDERS": 71, "POSITION": True, "TIME": True, "OWN_TIME": True, "SOFTMAX": softmax, "D": size, "DV": size,
        "BD": size, "BDV": size,
        "BM": options.pop("BM"), "BN": options.pop("BN"), "PRECISION": "ieee", "COPIES": on_gpu._COPIES,
    }  # fmt: skip
    absent = ("inverse",) if softmax else ("lse", "delta")
    signature, constants = {}, {}
    for at, name in enumerate(program.arg_names):
        if name in fixed or name in absent:
            signature[name], constants[(at,)] = "constexpr", fixed.get(name)
        elif name in NUMBERS or name == "alpha":
            signature[name] = "fp32" if name == "alpha" else "i32"
        else:
            signature[name] = "*" + (dtype if name in ROWS else "i64" if name in INTEGERS else "fp32")
    result = triton.compile(ASTSource(program, signature, constants), target=A100, options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(result.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    stack = re.search(r"STACK:(\d+)", usage)
    assert stack is not None, usage
    return result.metadata.shared, int(stack[1])


if __name__ == "__main__":
    asked = (sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True")
    for one in (triton_programs.forward, triton_programs.backward_queries, triton_programs.backward_keys):
        print(*compiled(one, *asked))
