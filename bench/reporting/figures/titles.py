"""What a figure shows, as a sentence: made of typed verdicts, so that it is true of the data and says no more than they do."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis.comparison import HeadlineMetric
from ...analysis.leaderboard import Board
from ...analysis.statements import Best, Families, Pair, of_kind
from ...evaluation.cards import shown
from ...evaluation.stats import Verdict
from ..words import listed, verdict

VERDICTS: tuple[Verdict, ...] = ("better", "worse", "equivalent", "not settled")
NAMED = 3
"""Names that a title lists; of more it gives their number."""

Judged = Sequence[tuple[str, Verdict]]
"""Names, each with its verdict."""


def by_verdict(by: str, one: str, other: str, judged: Judged, where: str, noun: str) -> str:
    """By AUC, `one` is better than `other` for a and b; worse for c; not settled for 7 of 10 cases.

    Args:
        by: the metric, as pages name it.
        judged: not empty.
        where: the word before names.
        noun: what names are of, in the plural.
    """
    groups: dict[Verdict, list[str]] = {word: [name for name, found in judged if found == word] for word in VERDICTS}
    clauses: list[str] = []
    for word, names in groups.items():
        if names:
            clause = word if clauses else clause_of(one, other, word)
            every = "any" if word == "not settled" else "each"
            clauses.append(f"{clause} {where} {some(names, len(judged), noun, every)}")
    return f"By {by}, " + "; ".join(clauses)


def clause_of(one: str, other: str, word: Verdict) -> str:
    """A verdict as a clause."""
    if word == "not settled":
        return f"whether {one} is better or worse than {other} is not settled"
    return f"{one} is {word} {'to' if word == 'equivalent' else 'than'} {other}"


def some(names: Sequence[str], total: int, noun: str, every: str = "each") -> str:
    """Few names, or how many of how many; `every` stands before all of them."""
    if len(names) <= NAMED:
        return listed(names)
    return f"{every} of the {total} {noun}" if len(names) == total else f"{len(names)} of {total} {noun}"


def of_families(board: Board, metric: HeadlineMetric) -> str:
    """The board's answer by a metric; who may be the best where the question is not asked."""
    pair = families(board, metric)
    if pair is not None:
        return f"By {shown(metric)}, {verdict(pair)}"
    return f"By {shown(metric)}, {of_best(board, metric)}"


def of_best(board: Board, metric: HeadlineMetric) -> str:
    """Which row has the best value, and how many others may be the truly best."""
    others = len(board.rows) - 1
    if not others:
        return f"{board.rows[0].label} is the only row"
    best = next(one for one in of_kind(board.statements, Best) if one.metric == metric)
    if not best.others:
        return f"with 95% confidence {best.label} is the best"
    return f"{len(best.others)} of {others} other rows are not distinguishable from the best, {best.label}"


def families(board: Board, metric: HeadlineMetric) -> Pair | None:
    """The best generative minus the best classical row."""
    return next((one.pair for one in of_kind(board.statements, Families) if one.pair.metric == metric), None)
