"""What a sum over processes sends through this machine's loopback: `unshare --net python ring_bytes.py SIZE BYTES`.

In a network of its own nothing else is counted. Prints the bytes that a process sends for one sum, protocol included.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import distributed

SUMS = 20


def sent() -> int:
    """Bytes that left through loopback so far."""
    (line,) = (line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.partition(":")[2].split()[8])


def member(rank: int, size: int, count: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method="tcp://127.0.0.1:29511", rank=rank, world_size=size)
    numbers = torch.ones(count // 4)
    distributed.all_reduce(numbers)
    distributed.barrier()
    before = sent()
    for _ in range(SUMS):
        distributed.all_reduce(numbers)
    distributed.barrier()
    if rank == 0:
        print(round((sent() - before) / SUMS / size), flush=True)
    distributed.barrier()


def main(size: int, count: int) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    crew = []
    for rank in range(size):
        if (child := os.fork()) == 0:
            member(rank, size, count)
            os._exit(0)
        crew.append(child)
    for child in crew:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
