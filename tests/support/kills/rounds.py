"""A round: a command that is killed one to five times at drawn moments, started again, and compared."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .outcome import Difference, difference, failed, outcome
from .scenarios import Scenario
from .started import PATIENCE, Started

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
"""A kill that nothing can answer is drawn as often as both others together."""
ALLOWED = {0, 1, 2, 130, *(-number for number in set(SIGNALS))}
"""Exit codes of a command that was disturbed."""


@dataclass(frozen=True)
class Kill:
    """When, as a share of the time that the command takes undisturbed, how and whom."""

    at: float
    signal: signal.Signals
    whom: str

    def __str__(self) -> str:
        return f"{self.signal.name} to {self.whom} at {self.at:.0%}"


def drawn(scenario: Scenario, seed: int) -> list[Kill]:
    """The same for the same seed."""
    rng = random.Random(f"{scenario.name} {seed}")
    count = rng.randint(1, 5)
    return [Kill(rng.random(), rng.choice(SIGNALS), rng.choice(("main", "worker", "group"))) for _ in range(count)]


@dataclass
class Round:
    """What became of it."""

    scenario: str
    seed: int
    kills: list[Kill]
    landed: int = 0
    """Kills that met the command at work."""
    difference: Difference = field(default_factory=Difference)
    wrong: list[str] = field(default_factory=list)
    """Tracebacks, exit codes that mean something else, processes that stay."""

    @property
    def held(self) -> bool:
        return self.difference == Difference() and not self.wrong


@dataclass
class Straight:
    """A scenario undisturbed."""

    scenario: Scenario
    seconds: float
    outcome: dict[str, str]


def straight(scenario: Scenario, folder: Path) -> Straight:
    """Raises RuntimeError: the command fails by itself."""
    _prepare(scenario, folder)
    began = time.monotonic()
    command = Started.of(scenario.words, folder, 0)
    if not command.ended(PATIENCE) or command.code != 0:
        raise RuntimeError(f"{scenario.name}: ends with {command.code}: {command.errors.read_text()[-2000:]}")
    return Straight(scenario, time.monotonic() - began, outcome(folder, scenario.exact))


def play(base: Straight, seed: int, folder: Path, kills: list[Kill] | None = None) -> Round:
    """In an empty folder of its own, which is gone afterwards if all held."""
    scenario = base.scenario
    found = Round(scenario.name, seed, kills or drawn(scenario, seed))
    _prepare(scenario, folder)
    number = 0
    for number, kill in enumerate(found.kills, 1):
        command = Started.of(scenario.words, folder, number)
        if not command.ended(kill.at * base.seconds):
            command.send(kill.signal, kill.whom)
            found.landed += 1
        _finish(command, found, number)
        if command.code == 0:
            break
    if not found.landed or command.code != 0:
        number += 1
        command = Started.of(scenario.words, folder, number)
        _finish(command, found, number)
        if command.code != 0:
            found.wrong.append(f"start {number}, undisturbed, ends with {command.code}: {_last(command)}")
    found.difference = difference(base.outcome, outcome(folder, scenario.exact), failed(folder))
    if found.held:
        shutil.rmtree(folder)
        for path in folder.parent.glob(f"{folder.name}-*.err"):
            path.unlink()
    return found


def _finish(command: Started, found: Round, number: int) -> None:
    """Wait for the end of a start and note what must not be."""
    note: Callable[[str], None] = found.wrong.append
    if not command.ended(PATIENCE):
        note(f"start {number} did not end within {PATIENCE:.0f} s")
        command.send(signal.SIGKILL, "group")
        command.ended(PATIENCE)
    for process in command.left():
        note(f"start {number} leaves {process}")
    if command.code not in ALLOWED:
        note(f"start {number} ends with {command.code}")
    if "Traceback" in command.errors.read_text(errors="replace"):
        note(f"start {number} ends in a traceback: {_last(command)}")


def _last(command: Started) -> str:
    return (command.errors.read_text(errors="replace").strip().splitlines() or [""])[-1]


def _prepare(scenario: Scenario, folder: Path) -> None:
    ready = folder.with_name("ready")
    if not ready.exists():
        ready.mkdir(parents=True)
        scenario.prepare(ready)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ready, folder)
