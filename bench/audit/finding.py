"""What an audit says: a line about a file, and what no audit can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["wrong", "note", "ok"]
Said = tuple[Kind, str]
"""What is found of one run, whose name stands before it."""


@dataclass(frozen=True)
class Finding:
    """One line about a folder."""

    kind: Kind
    """note: what could not be checked, or is worth knowing."""
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


def about(where: str, said: Iterable[Said]) -> Iterator[Finding]:
    """Findings of one place."""
    for kind, what in said:
        yield Finding(kind, where, what)


def shown(value: Any) -> str:
    """A value in few characters."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


LIMITS = (
    "Scores of a trained model that are another run's, or a mean of several, with enough noise of their own that seeds differ as "
    "seeds do. Weights are not committed: training again is the only proof (--retrain N).",
    "Test labels that are mixed into scores so weakly, or under so much noise, that no bound is reached.",
    "Settings that change neither size nor cost, such as a learning rate or a dropout, if others were used than those recorded.",
    "Runs that were left out: the best of several attempts, seeds or settings, chosen by the test.",
    "Times, memory, load, processor and versions within what is possible: they are what the record says.",
    "Validation metrics and curves of trained models within what is possible: only training again gives them.",
    "Trials of a sweep, which are not trained again: their values are what the sweep says.",
    "Rows of the public leaderboard that were taken out together with their history; and who submitted or verified a row.",
)
"""What `check` cannot find; printed after every check, and the list in CONTRIBUTING.md."""
