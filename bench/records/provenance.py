"""Where a run happened: versions, hardware, commit. No host names, users or paths."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import torch

from .. import device as devices
from .. import packages
from ..urls import shown
from .schema import Environment

PACKAGES = ("rankbench", "torch", "torch-npu", "deepctr-torch", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "optuna")

CODE = ("baselines", "bench", "generative", "kernels", "unified")
"""Folders whose source files are this program."""
SOURCES = (".py", ".cpp", ".h")


def environment(device: torch.device) -> Environment:
    """The environment of this process."""
    commit, dirty = _git()
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        accelerator=devices.accelerator_name(device),
        code_hash=code_hash(),
        versions={package: packages.version(package) for package in PACKAGES},
        git_commit=commit,
        git_dirty=dirty,
        command=command(sys.argv),
    )


def command(arguments: list[str]) -> tuple[str, ...]:
    """The argument list without passwords, with every path cut to its last part, also behind `=`."""
    parts = (shown(argument).rpartition("=") for argument in arguments)
    return tuple(key + separator + os.path.basename(value.rstrip(os.sep)) for key, separator, value in parts)


def load_average() -> float:
    """Processes that wanted to run during the last minute."""
    return os.getloadavg()[0]


@functools.cache
def code_hash() -> str:
    """Of this program, see Environment.code_hash."""
    root = Path(__file__).parents[2]
    paths = (path for folder in CODE for path in (root / folder).rglob("*") if path.suffix in SOURCES)
    return digest((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths)


def digest(files: Iterable[tuple[str, bytes]]) -> str:
    """The code hash of source files: paths from the root of a checkout, and contents, in any order."""
    found = hashlib.sha256()
    for name, content in sorted(files, key=lambda file: file[0].split("/")):
        found.update(f"{name}\0".encode() + content)
    return found.hexdigest()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware"))]
    return names[0] if names else platform.processor() or "unknown"


def _git() -> tuple[str | None, bool | None]:
    """Commit and dirtiness of the checkout that tracks this file; None if it was installed from a wheel."""
    file = Path(__file__).resolve()
    try:
        # An installed package may lie inside somebody else's repository: only one that tracks this file counts.
        _ask_git(file.parent, "ls-files", "--error-unmatch", file.name)
        # What runs write makes no checkout dirty: results/, and files that are new outside of the program.
        changed = _ask_git(file.parent, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)results")
        added = _ask_git(file.parent, "ls-files", "--others", "--exclude-standard", "--", *(f":(top){folder}" for folder in CODE))
        return _ask_git(file.parent, "rev-parse", "HEAD"), bool(changed or added)
    except (OSError, subprocess.SubprocessError):
        return None, None


def _ask_git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return answer.stdout.strip()
