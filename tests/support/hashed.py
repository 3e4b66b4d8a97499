"""hashes.txt from what uv found: the same, without what only torch brings.

torch is left out because its builds differ (see the Makefile), and with it go the libraries of CUDA: they come with a build for
CUDA, in versions of its own, and no other build wants them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

OF_TORCH = re.compile(r"(nvidia-(?!ml-py)|cuda-|triton)")
"""What a name begins with that a build of torch for CUDA alone needs; nvidia-ml-py is the extra `energy`."""

HEAD = """\
# What `make install` installs, with the sha256 of every file of each version: pip takes no other. Made by `make hashes`.
# torch and the libraries of CUDA are not here: its builds of one version are different files, which mirrors make by themselves.
"""


def without_torch(text: str) -> str:
    """Requirements, each with its hashes on lines of their own, without those of torch's builds."""
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return HEAD + "".join(entry for entry in entries[1:] if not OF_TORCH.match(entry))


def pins(text: str) -> dict[str, set[str]]:
    """Name -> versions; several where Pythons differ."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(without_torch(Path(sys.argv[1]).read_text(encoding="utf-8")), encoding="utf-8")
