"""What this process may use of its machine: memory, disk and open files, as the system and a container allow."""

from __future__ import annotations

import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's limit stands, in version 2 and version 1 of control groups."""


@dataclass(frozen=True)
class Memory:
    """GiB."""

    total_gb: float
    """Of the machine, or of the container if that has less."""
    available_gb: float
    """That can be had without swapping."""


def memory(cgroups: tuple[Path, ...] = CGROUPS) -> Memory:
    found = psutil.virtual_memory()
    total = min([found.total, *(limit for path in cgroups if (limit := _limit(path)) is not None)])
    return Memory(total / 2**30, min(found.available, total) / 2**30)


def _limit(path: Path) -> int | None:
    """Bytes that a control group may have; None without a limit."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max" where there is none


@dataclass(frozen=True)
class Disk:
    """Room below a folder that may not be there yet."""

    folder: Path
    """The nearest that is."""
    free_gb: float
    """GiB, for this user."""
    files: int | None
    """That can still be made; None where the file system counts none."""
    writable: bool


def disk(folder: Path) -> Disk:
    existing = nearest(folder)
    if not existing.is_dir():
        return Disk(existing, 0.0, None, False)
    room = os.statvfs(existing)
    files = room.f_favail if room.f_files else None
    # Running as root, access() allows everything but a read-only file system: what matters, since root may write.
    return Disk(existing, shutil.disk_usage(existing).free / 2**30, files, os.access(existing, os.W_OK | os.X_OK))


def nearest(folder: Path) -> Path:
    """The folder itself, or the first one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def lacks_room(folder: Path, needed: int) -> str | None:
    """A line of warning where fewer bytes are free than are needed for certain."""
    free = disk(folder).free_gb
    if free * 2**30 >= needed:
        return None
    return f"only {free:.2f} GiB are free for {folder}, and these runs need at least {needed / 2**30:.2f}; make room"


@dataclass(frozen=True)
class OpenFiles:
    """How many files a process may have open; `ulimit -n`."""

    soft: int
    """In force."""
    hard: int
    """What the user may raise it to."""


def open_files() -> OpenFiles:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = 2**31 - 1
    return OpenFiles(*(infinite if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard)))
