"""Runs mutated inputs and counts: a traceback, a hang, a message of several lines and a file left half-written are faults."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import shutil
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rankbench.bench.atomic import WRITING
from rankbench.bench.errors import UserError

from .targets import ROOT, Target

FOUND = ROOT / "tests" / "faults" / "found"
"""Inputs that were faults once, one folder for each target: each must stay mended."""

HANG = 60
"""Seconds after which an input counts as one that never ends."""


@dataclass(frozen=True)
class Fault:
    """An input that was not handled."""

    target: str
    seed: int | None
    """Of the mutation; None for an input that was kept."""
    content: bytes
    said: str
    """What went wrong."""


class Hang(BaseException):
    """No error that a reader may catch."""


def mutated(target: Target, good: bytes, seed: int) -> bytes:
    return target.mutate(good, random.Random(f"{target.name} {seed}"))


def faults(target: Target, folder: Path, inputs: Iterator[tuple[int | None, bytes | None]]) -> Iterator[Fault | None]:
    """Each input in turn: None where it was handled.

    Args:
        folder: an empty one of its own.
        inputs: seed and content; a content of None is made from the good file by its seed.
    """
    for seed, content in inputs:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path = target.make(folder)
        wrong = mutated(target, path.read_bytes(), seed or 0) if content is None else content
        path.write_bytes(wrong)
        said = _read(target, path) or _left(folder)
        yield Fault(target.name, seed, wrong, said) if said else None


def _read(target: Target, path: Path) -> str:
    """What went wrong while it was read; empty if nothing did."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(HANG)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = target.read(path)
    except UserError as error:
        return "" if str(error).strip() else "an error without words"
    except Hang:
        return f"did not end within {HANG} seconds"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if code in (None, 0, 1) or not isinstance(code, int):
        return ""
    errors = [line for line in err.getvalue().splitlines() if line.startswith("rankbench: error: ")]
    return "" if code == 2 and len(errors) == 1 else f"exit code {code}: {err.getvalue()[-500:]}"


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang


def _left(folder: Path) -> str:
    left = [path.name for path in folder.rglob(f"{WRITING}*")]
    return f"left behind: {', '.join(left)}" if left else ""


def folder_of(target: str) -> str:
    return target.replace(" ", "_")


def keep(fault: Fault) -> Path:
    """The input, so that a test tries it again for good."""
    path = FOUND / folder_of(fault.target) / hashlib.sha256(fault.content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fault.content)
    return path
