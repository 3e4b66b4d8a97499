"""How training is shown: a live bar in a terminal, one plain line per epoch elsewhere, nothing when quiet. Always on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .trainer import EpochPoint


class Quiet:
    """Says nothing."""

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None: ...
    def step(self, loss: float, examples: int) -> None: ...
    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None: ...


def _line(name: str, point: EpochPoint, epochs: int, rate: float) -> str:
    return (
        f"{name} epoch {point.epoch}/{epochs}  loss {point.train_loss:.4f}  valid gauc {point.valid_gauc:.4f}  "
        f"auc {point.valid_auc:.4f}  {point.seconds:.0f} s  {rate:,.0f} examples/s"
    )


class Lines(Quiet):
    """One line per epoch: for logs and pipes."""

    def __init__(self, console: Console, name: str) -> None:
        self.console, self.name = console, name

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        self.console.print(_line(self.name, point, epochs, examples_per_second), highlight=False, soft_wrap=True)


class Bar(Quiet):
    """A live bar of the current epoch with loss, validation GAUC so far, examples/s and time left."""

    def __init__(self, console: Console, name: str) -> None:
        self.name = name
        self.gauc = float("nan")
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TextColumn("loss {task.fields[loss]:.4f}  valid gauc {task.fields[gauc]:.4f}  {task.fields[rate]:,.0f} examples/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.examples = 0

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self.examples = 0
        self.bar.start()
        description = f"{self.name} epoch {epoch}/{epochs}"
        self.task = self.bar.add_task(description, total=steps, completed=done, loss=float("nan"), gauc=self.gauc, rate=0.0)

    def step(self, loss: float, examples: int) -> None:
        assert self.task is not None
        self.examples += examples
        elapsed = self.bar.tasks[-1].elapsed or 1e-9
        self.bar.update(self.task, advance=1, loss=loss, rate=self.examples / elapsed)

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        assert self.task is not None
        self.gauc = point.valid_gauc
        self.bar.remove_task(self.task)
        self.bar.stop()
        self.bar.console.print(_line(self.name, point, epochs, examples_per_second), highlight=False, soft_wrap=True)


def make_progress(name: str, quiet: bool) -> Quiet:
    """Bar, lines or nothing, by where stderr goes."""
    if quiet:
        return Quiet()
    console = Console(stderr=True)
    return Bar(console, name) if console.is_terminal else Lines(console, name)
