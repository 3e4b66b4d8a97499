"""The audit of the statistics as a page and a file: coverage by simulation, and the models of a results folder against
themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..evaluation import proof
from ..evaluation.cards import shown
from ..evaluation.predictions import align
from ..evaluation.proof import Coverage, SelfComparison
from ..evaluation.stats import METRICS
from ..records.atomic import write_text
from ..records.rounded import rounded
from ..records.schema import Identity
from ..records.view import View
from ..typed import as_json
from .board_files import markdown_table

MOST = 0.07
"""Share of self-comparisons that may be called different."""

COVERED = (0.93, 0.97)
"""Share of 95% intervals that must hold the truth."""


@dataclass(frozen=True)
class OfBoard:
    """The self-comparisons of the models of one board."""

    board: str
    found: tuple[SelfComparison, ...]


@dataclass(frozen=True)
class Audit:
    """Everything that was counted."""

    coverage: tuple[Coverage, ...]
    against_themselves: tuple[OfBoard, ...]


def audit(view: View, tests: int, say: Callable[[str], None]) -> Audit:
    """Count.

    Args:
        view: real runs, whose test rows are there; perhaps none.
        tests: drawn from each world; 0 for none.
        say: told what comes next.
    """
    boards = []
    for group in view.groups():
        if five := _five_seeds(group):
            say(f"models against themselves: {group.place}")
            predictions = align({name: [group.predictions(one) for one in seeds] for name, seeds in five.items()})
            found = (proof.self_comparison(predictions, metric) for metric in METRICS)
            boards.append(OfBoard(group.place, tuple(one for one in found if one is not None)))
    covered: list[Coverage] = []
    for world in proof.WORLDS if tests else ():
        say(f"coverage: {world.users} users, training noise {world.training:g}, {tests} tests")
        covered += proof.coverage(world, tests)
    return Audit(tuple(covered), tuple(board for board in boards if board.found))


def _five_seeds(group: View) -> dict[str, list[Identity]]:
    """Model and settings -> its seeds, where there are five or more."""
    table: dict[str, list[Identity]] = {}
    for record in group.records:
        one = record.identity
        if record.status == "ok" and not record.simulated and group.has_scores(one):
            table.setdefault(f"{one.model} {one.config_hash[:6]}", []).append(one)
    return {name: seeds for name, seeds in table.items() if len(seeds) >= 5}


def to_markdown(found: Audit) -> str:
    """Both tables; what lies outside the bounds is bold."""
    parts = ["# Whether intervals hold what they promise"]
    if found.against_themselves:
        parts += [_HEAD_SELF, "\n".join(markdown_table(_self(found.against_themselves)))]
    if found.coverage:
        parts += [_HEAD_COVERAGE, "\n".join(markdown_table(_coverage(found.coverage)))]
    return "\n\n".join(parts) + "\n"


_HEAD_SELF = (
    "Real models against themselves: three of five seeds against the two others, in all ten ways. They are one model, so that "
    f"95% intervals should call them different in 5% of cases; more than {MOST:.0%} is bold."
)
_HEAD_COVERAGE = (
    "Simulated tests: users with the sizes of ml-100k's test, four models that are truly alike, seeds that differ by `training`. "
    "Columns are shares in percent: 95% intervals of a value, of a difference beside other models, of a difference of two models "
    f"alone (outside {COVERED[0]:.0%} to {COVERED[1]:.0%} is bold); the truly best model among those that may be the best, which "
    "must be 95% at least; and how many of the four these are. The truth of a value is that of tests of as many users; `of few` "
    "is how far it lies from that of very many, which no interval of a test tells."
)


def _self(boards: Sequence[OfBoard]) -> list[list[str]]:
    body = [["board", "metric", "models", "different", "share", "most often"]]
    for board in boards:
        for one in board.found:
            share = f"{one.share:.1%}"
            counted = f"{one.different} of {one.compared}"
            told = f"**{share}**" if one.share > MOST else share
            body.append([board.board, shown(one.metric), str(one.models), counted, told, one.worst])
    return body


def _coverage(found: Sequence[Coverage]) -> list[list[str]]:
    def within(share: float) -> str:
        text = f"{100 * share:.1f}"
        return text if COVERED[0] <= share <= COVERED[1] else f"**{text}**"

    header = [
        "users",
        "training",
        "seeds",
        "metric",
        "of few",
        "value",
        "difference",
        "difference alone",
        "best is among",
        "among best",
    ]
    body = [
        [
            str(one.users),
            f"{one.training:g}",
            str(one.seeds),
            shown(one.metric),
            f"{one.of_few:+.4f}",
            *(within(share) for share in (one.value, one.difference, one.alone)),
            f"{100 * one.best:.1f}",
            f"{one.among_best:.1f}",
        ]
        for one in found
    ]
    return [header, *body]


def write(found: Audit, folder: Path) -> list[Path]:
    """statistics.md and statistics.json in `folder`.

    Raises:
        UserError: nothing was counted, or a file cannot be written.
    """
    if not found.coverage and not found.against_themselves:
        raise UserError("nothing to audit: no board has a model with five seeds or more, and no test was to be simulated")
    texts = {"statistics.md": to_markdown(found), "statistics.json": as_json(rounded(found))}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]
