"""What a board answers to the project's question, in words: from its rows alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from ..evaluation.cards import shown
from ..evaluation.stats import ModelInterval
from .leaderboard import TUNED, Board
from .measured import Row


def question(board: Board) -> str:
    return f"Does a generative ranker beat a classical one on {board.dataset} @ {board.split}, and at what cost?"


def answer(board: Board) -> str:
    """One line that begins with yes, no or not shown, and gives the difference of the best rows of both families.

    Intervals are those of the board's difference to its best row, which hold for all rows at once: so that picking the best of
    a family by the same numbers is allowed. Where a floor is the best row, they are not about these two and none is given.
    """
    generative, classical = _best(board, "generative"), _best(board, "classical")
    if generative is None or classical is None:
        missing = "generative" if generative is None else "classical"
        return f"Not asked: no {missing} ranker was run."
    metric, best = shown(board.headline), board.rows[0]
    pair = f"{metric} of {generative.label} minus {classical.label} is"
    if best.family == "floor":
        value = _found(board, generative).point - _found(board, classical).point
        return f"No: the best row is a floor, {best.label}. Of the best rows of both families, {pair} {value:+.4f}."
    rival = classical if best is generative else generative
    pair = f"{pair} {_words(_found(board, rival), turned=best is generative)}" + ", which includes zero" * rival.tied
    tied = ", ".join(row.label for row in board.rows if row.family == rival.family and row.tied)
    if best is generative:
        verdict = f"Not shown: {best.label} has the highest {metric}, but cannot be told from {tied}"
        return f"{verdict if tied else f'Yes: {best.label} is above every classical ranker'}; {pair}."
    verdict = (
        f"no generative ranker is shown to be above {best.label}" if tied else f"{best.label} is above every generative ranker"
    )
    return f"No: {verdict}; {pair}."


def best_rows(board: Board) -> str:
    """The best row and those that cannot be told from it, in words."""
    tied = [row.label for row in board.rows[1:] if row.tied]
    best, metric = board.rows[0], shown(board.headline)
    first = f"Best by {metric}: {best.label} ({_found(board, best).point:.4f})"
    if not tied:
        return f"{first}, and no other row may be the best."
    floor = next((row.label for row in board.rows[1:] if row.tied and row.family == "floor"), None)
    also = f" Among these is a floor, {floor}: nothing is shown to have been learnt." if floor and best.family != "floor" else ""
    return f"{first}. Not distinguishable from it: {', '.join(tied)}.{also}"


def pairs(board: Board) -> tuple[str, ...]:
    """The comparisons that were named before any number was seen: HSTU with DIN. Their intervals are narrower."""
    return tuple(f"As a single comparison, named beforehand: {line}" for line in board.statements if " minus " in line)


def cost(board: Board) -> str | None:
    """What the best generative row takes beside the best classical one; None where a family is missing."""
    generative, classical = _best(board, "generative"), _best(board, "classical")
    if generative is None or classical is None:
        return None
    clock = "of CPU time" if generative.on_cpu and classical.on_cpu else "of wall time"
    flops = "".join(_flops(generative, classical))
    return (
        f"The cost: {generative.label} trains for {generative.training_cost:.1f} s {clock} and scores 100 candidates in "
        f"{generative.latency_ms:.1f} ms{flops}; {classical.label} takes {classical.training_cost:.1f} s and "
        f"{classical.latency_ms:.1f} ms."
    )


def _flops(generative: Row, classical: Row) -> Iterator[str]:
    if generative.flops_per_example and classical.flops_per_example:
        ratio = generative.flops_per_example / classical.flops_per_example
        yield f", with {ratio:.2f} times the arithmetic of {classical.label} for a training example"


def untuned(board: Board) -> str | None:
    """That no row is tuned, where none is: the question is about well-tuned rankers."""
    if any(TUNED in row.label for row in board.rows):
        return None
    return "No row is tuned: every model has the settings that its label names, and else its defaults."


def over_datasets(boards: Iterable[Board]) -> dict[str, dict[str, float]]:
    """Data set -> row -> headline metric, for mean ranks: of each data set the board with the most rows."""
    largest: dict[str, Board] = {}
    for board in boards:
        if board.dataset not in largest or len(board.rows) > len(largest[board.dataset].rows):
            largest[board.dataset] = board
    return {name: {row.label: _found(board, row).point for row in board.rows} for name, board in largest.items()}


def _best(board: Board, family: str) -> Row | None:
    rows = [row for row in board.rows if row.family == family and not math.isnan(_found(board, row).point)]
    return rows[0] if rows else None


def _found(board: Board, row: Row) -> ModelInterval:
    return getattr(row, board.headline)


def _words(found: ModelInterval, turned: bool = False) -> str:
    """A difference to the best with its interval; turned: the best minus this one."""
    value, low, high = found.difference, found.difference_low, found.difference_high
    if turned:
        value, low, high = -value, -high, -low
    return f"{value:+.4f}, [{low:+.4f}, {high:+.4f}] at 95% for all rows at once"
