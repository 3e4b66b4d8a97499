"""What a compiled program takes of a card."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import triton


class Taken(NamedTuple):
    shared: int
    """Bytes of shared memory, by a block of threads."""
    beyond_registers: int
    """Bytes of memory in which a thread keeps what does not fit its registers."""


def resources_of(program: Any) -> Taken:
    """
    Args:
        program: as triton.compile gives it.
    """
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(program.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    stack = re.search(r"STACK:(\d+)", usage)
    assert stack is not None, usage
    return Taken(program.metadata.shared, int(stack[1]))
