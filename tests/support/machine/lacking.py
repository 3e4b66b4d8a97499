"""What a machine may lack, drawn by a seed, and what a command must do about it: end in one line, or do its work."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.kills.outcome import difference, failed, outcome
from support.kills.rounds import Round, Straight
from support.kills.started import PATIENCE, Started

KINDS = ("full", "failing", "read-only", "slow", "clock", "memory", "two at once")
MEMORY = 24
"""MiB beyond what a command has from its start, at the least."""
DAYS = 86_400


@dataclass(frozen=True)
class Lack:
    """Of one start."""

    kind: str
    environment: dict[str, str]
    """Of shim.cpp."""
    memory: int | None = None
    """MiB of addresses beyond those that the process has."""

    def limit(self) -> None:
        """In the process of the command."""
        if self.memory is not None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * os.sysconf("SC_PAGE_SIZE") + self.memory * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def compiled(folder: Path) -> Path:
    """shim.cpp as a library.

    Raises:
        RuntimeError: there is no C++ compiler, or it does not work.
    """
    compiler, library = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None), folder / "shim.so"
    if compiler is None:
        raise RuntimeError("no C++ compiler (c++, g++, clang++)")
    source = Path(__file__).with_name("shim.cpp")
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{compiler}: {done.stderr[-400:]}")
    return library


def drawn(kind: str, seed: int, folder: Path, size: int) -> Lack:
    """The same for the same seed.

    Args:
        folder: whose files are meant.
        size: bytes of all that the undisturbed command left.
    """
    rng = random.Random(f"{kind} {seed}")
    under, some = {"FAULT_UNDER": f"{folder}/"}, str(int(size * 1.2 * rng.random()))
    match kind:
        case "full":
            return Lack(kind, {**under, "FAULT_ERRNO": str(errno.ENOSPC), "FAULT_BYTES": some})
        case "failing":
            return Lack(kind, {**under, "FAULT_ERRNO": str(errno.EIO), "FAULT_BYTES": some})
        case "read-only":
            return Lack(kind, {**under, "FAULT_ERRNO": str(errno.EROFS), "FAULT_BYTES": "-1"})
        case "slow":
            return Lack(kind, {**under, "FAULT_DELAY": str(rng.randrange(1000, 5000))})
        case "clock":
            return Lack(kind, {"FAULT_CLOCK": str(rng.choice((-1, 1)) * rng.randrange(1, 900 * DAYS))})
        case "memory":
            return Lack(kind, {}, MEMORY + rng.randrange(600))
        case _:
            return Lack(kind, {})


HARMLESS = {"slow", "clock", "two at once"}
"""A command does its work all the same."""


def play(base: Straight, kind: str, seed: int, folder: Path) -> tuple[Round, str]:
    """A start that lacks something and one that lacks nothing; what is wrong, and how the first ended."""
    ready = folder.with_name("ready")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ready, folder)
    size = sum(path.stat().st_size for path in folder.with_name("straight").rglob("*") if path.is_file())
    found, lack = Round(base.scenario.name, seed, []), drawn(kind, seed, folder, size)
    words, count = base.scenario.words, 2 if kind == "two at once" else 1
    starts = [Started.of(words, folder, at, lack.environment, lack.limit) for at in range(count)]
    for command in starts:
        _check(command, found, {0} if kind in HARMLESS else {0, 1, 2})
    ended = f"exit code {starts[0].code}: {_last(starts[0])}" if starts[0].code else "done"
    after = Started.of(words, folder, count)
    _check(after, found, {0})
    found.difference = difference(base.outcome, outcome(folder, base.scenario.exact), failed(folder))
    return found, ended


def _check(command: Started, found: Round, allowed: set[int]) -> None:
    note: Callable[[str], None] = found.wrong.append
    if not command.ended(PATIENCE):
        note(f"did not end within {PATIENCE:.0f} s")
        command.send(9, "group")  # type: ignore[arg-type]
        command.ended(PATIENCE)
    for process in command.left():
        note(f"leaves {process}")
    said = command.errors.read_text(errors="replace")
    lines = [line for line in said.splitlines() if line.startswith("rankbench: error: ")]
    if command.code not in allowed:
        note(f"ends with {command.code}: {_last(command)}")
    if "Traceback" in said or "terminate called" in said:
        note(f"ends in a traceback: {_last(command)}")
    if command.code == 2 and len(lines) != 1:
        note(f"exit code 2 with {len(lines)} lines that say why: {said[-300:]}")


def _last(command: Started) -> str:
    return (command.errors.read_text(errors="replace").strip().splitlines() or [""])[-1]
