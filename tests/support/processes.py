"""Several processes that train together, as torchrun starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from support.cache import own_cache


def pair(script: Path, *arguments: str) -> list[subprocess.Popen[str]]:
    """Two processes of a script that find each other, without torchrun between them: it would end both when one ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]


def torchrun(folder: Path, *command: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Processes of a script or module with its arguments, in `folder`, with the kernels that are compiled already."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    return subprocess.run([*launcher, *command], capture_output=True, text=True, cwd=folder, env=environment(folder), timeout=600)


def environment(folder: Path) -> dict[str, str]:
    """Of processes in a folder of their own: this tree, its compiled kernels, no data but what lies there."""
    kept = {key: value for key, value in os.environ.items() if key != "RANKBENCH_DATA"}
    return {**kept, "RANKBENCH_CACHE": str(own_cache(folder)), "PYTHONPATH": os.pathsep.join(sys.path)}
