"""How training is shown: one live bar per running cell in a terminal, one plain line per epoch elsewhere. Always on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..errors import UserError
from .follow import Follower
from .progress import CellEnded, CellId, CellStarted, EpochFinished, EpochStarted, Event, Stepped

SHOWN = ("request_gauc", "auc", "logloss")
"""Metrics of a finished cell that are shown, if it has them."""


class Display:
    """Shows the events of all cells. `live` draws bars; otherwise a line per epoch; `quiet` nothing but what `line` is given.

    Args:
        followers: are told every event too, and closed at the end.
    """

    def __init__(self, quiet: bool, followers: Sequence[Follower] = ()) -> None:
        self.console = Console(stderr=True, markup=False)
        self.quiet = quiet
        self.followers = list(followers)
        self.tasks: dict[CellId, TaskID] = {}
        self.ranking: dict[CellId, float] = {}
        self.ended: set[CellId] = set()
        self.bars: Progress | None = None

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.quiet:
            self.bars = Progress(
                TextColumn("{task.description}", markup=False),
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
        with contextlib.ExitStack() as closing:  # each of them, whatever happens to the others
            for one in self.followers:
                closing.callback(one.close)

    def line(self, text: str) -> None:
        """One line about a finished cell."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that is shown whatever was asked for."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def handle(self, cell: CellId, event: Event) -> None:
        """An event of a cell. How a cell ended counts once: a worker says so at once, and the command again when it has all."""
        if isinstance(event, CellStarted):
            self.ended.discard(cell)
        elif isinstance(event, CellEnded):
            if cell in self.ended:
                return
            self.ended.add(cell)
        for one in tuple(self.followers):
            try:
                one.hear(cell, event)
            except UserError as error:
                self.followers.remove(one)
                self.warn(f"{error}; training goes on without it")
                one.close()
        match event:
            case CellStarted():
                self._end(cell)
                self.ranking.pop(cell, None)
            case EpochFinished():
                self.ranking[cell] = event.point.valid_request_gauc
                self._end(cell)
                self.line(f"{cell.name} {_in_words(event)}")
            case CellEnded():
                self._end(cell)
                self.line(f"{cell.name}: {_outcome(event)}")
            case EpochStarted() if self.bars is not None:
                self._end(cell)
                ranking = f"{self.ranking[cell]:.4f}" if cell in self.ranking else "-"
                self.tasks[cell] = self.bars.add_task(
                    f"{cell.name} epoch {event.epoch}/{event.epochs}",
                    total=event.steps,
                    completed=event.done,
                    loss=float("nan"),
                    ranking=ranking,
                    rate=0.0,
                )
            case Stepped() if self.bars is not None and cell in self.tasks:
                self.bars.update(self.tasks[cell], completed=event.steps, loss=event.loss, rate=event.examples_per_second)

    def _end(self, cell: CellId) -> None:
        if self.bars is not None and cell in self.tasks:
            self.bars.remove_task(self.tasks.pop(cell))


def _in_words(event: EpochFinished) -> str:
    point = event.point
    # A refit has nothing left to validate on, and behind the last window of a stream lies the test.
    valid = f"valid request_gauc {point.valid_request_gauc:.4f}  auc {point.valid_auc:.4f}"
    return (
        f"epoch {point.epoch}/{event.epochs}  loss {point.train_loss:.4f}  {valid if point.judged else 'not validated'}  "
        f"{point.seconds:.1f} s  {event.examples_per_second:,.0f} examples/s"
    )


def _outcome(event: CellEnded) -> str:
    if event.status == "failed":
        return f"FAILED: {event.reason}"
    if event.status == "stopped":
        return event.reason
    known = {key: value for key, value in (event.metrics or {}).items() if value is not None}
    metrics = "  ".join(f"{key} {known[key]:.4f}" for key in SHOWN if key in known)
    if event.status == "elsewhere":
        return f"finished by another command meanwhile: {event.role} {metrics}"
    what = "pruned" if event.status == "pruned" else f"{event.role} {metrics}"
    best = "" if event.best_epoch is None else f", best epoch {event.best_epoch}"
    return f"{what}  trained in {event.seconds:.1f} s{best}"
