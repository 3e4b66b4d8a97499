"""How training is shown: one live bar per running cell in a terminal, one plain line per epoch elsewhere. Always on stderr.

A cell reports events to a `send` function, which may cross a process border; a Display turns events into what is seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .trainer import EpochPoint

Send = Callable[[str, str, tuple[Any, ...]], None]
"""send(cell name, event, its arguments)"""


class Quiet:
    """Says nothing, and lets training go on."""

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None: ...
    def step(self, loss: float, examples: int) -> None: ...
    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None: ...

    def enough(self, seconds: float) -> bool:
        return False


class Reporter(Quiet):
    """Sends a cell's events, steps at most four times per second."""

    def __init__(self, name: str, send: Send) -> None:
        self.name, self.send = name, send
        self.begin = self.last = 0.0
        self.steps = self.examples = 0

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self.begin = self.last = time.perf_counter()
        self.steps, self.examples = done, 0
        self.send(self.name, "epoch", (epoch, epochs, steps, done))

    def step(self, loss: float, examples: int) -> None:
        self.steps, self.examples = self.steps + 1, self.examples + examples
        now = time.perf_counter()
        if now - self.last > 0.25:
            self.last = now
            self.send(self.name, "step", (self.steps, loss, self.examples / (now - self.begin)))

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        self.send(self.name, "point", (point, epochs, examples_per_second))


class Display:
    """Shows the events of all cells. `live` draws bars; otherwise a line per epoch; `quiet` nothing but what `line` is given."""

    def __init__(self, quiet: bool) -> None:
        self.console = Console(stderr=True)
        self.quiet = quiet
        self.tasks: dict[str, TaskID] = {}
        self.ranking: dict[str, float] = {}
        self.bars: Progress | None = None

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.quiet:
            self.bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.4f}  valid {task.fields[ranking]}"),
                TextColumn("{task.fields[rate]:,.0f} examples/s"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self.bars.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def line(self, text: str) -> None:
        """One line about a finished cell."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def handle(self, name: str, event: str, values: tuple[Any, ...]) -> None:
        """An event of the cell `name`."""
        if event == "point":
            point, epochs, rate = values
            self.ranking[name] = point.valid_request_gauc
            self._end(name)
            # A refit has nothing left to validate on, and behind the last window of a stream lies the test.
            valid = f"valid request_gauc {point.valid_request_gauc:.4f}  auc {point.valid_auc:.4f}"
            shown = valid if point.judged else "not validated"
            self.line(
                f"{name} epoch {point.epoch}/{epochs}  loss {point.train_loss:.4f}  {shown}  "
                f"{point.seconds:.1f} s  {rate:,.0f} examples/s"
            )
        elif event == "ended":
            result, seconds = values
            self._end(name)
            self.line(f"{name}: {result}  trained in {seconds:.1f} s")
        elif self.bars is None:
            return
        elif event == "epoch":
            epoch, epochs, steps, done = values
            self._end(name)
            ranking = f"{self.ranking[name]:.4f}" if name in self.ranking else "-"
            self.tasks[name] = self.bars.add_task(
                f"{name} epoch {epoch}/{epochs}", total=steps, completed=done, loss=float("nan"), ranking=ranking, rate=0.0
            )
        elif name in self.tasks:
            steps, loss, rate = values
            self.bars.update(self.tasks[name], completed=steps, loss=loss, rate=rate)

    def _end(self, name: str) -> None:
        if self.bars is not None and name in self.tasks:
            self.bars.remove_task(self.tasks.pop(name))
