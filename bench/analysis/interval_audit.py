"""What was counted of intervals: coverage by simulation, and the models of results folders against themselves.

Coverage depends on this program alone. It is kept world by world, so that a stopped simulation goes on and is not repeated when
there are more runs to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UserError
from ..evaluation import proof
from ..evaluation.predictions import align
from ..evaluation.proof import Coverage, SelfComparison
from ..evaluation.stats import METRICS
from ..records import provenance
from ..records.schema import Identity
from ..records.view import View
from ..typed import read, text_of


@dataclass(frozen=True)
class Simulated:
    """The coverage of intervals in the worlds that were simulated."""

    tests: int = 0
    """Drawn from each world; 0: nothing is simulated."""
    code_hash: str = ""
    """sha256 of the program that counted."""
    coverage: tuple[Coverage, ...] = ()


@dataclass(frozen=True)
class OfBoard:
    """The self-comparisons of the models of one group of runs."""

    board: str
    """Its folder below the results, where it is not the results' own, and its place."""
    found: tuple[SelfComparison, ...]


@dataclass(frozen=True)
class Audit:
    """Everything that was counted."""

    simulated: Simulated = Simulated()
    against_themselves: tuple[OfBoard, ...] = ()


def against_themselves(view: View, below: str, say: Callable[[str], None]) -> Iterator[OfBoard]:
    """Of each group of real runs with five seeds and scores, whose test rows are there.

    Args:
        below: the folder of the runs below the results, empty for the results' own.
        say: told what comes next.
    """
    for group in view.groups():
        if five := _five_seeds(group):
            place = f"{below}: {group.place}" if below else group.place
            say(f"models against themselves: {place}")
            predictions = align({name: [group.predictions(one) for one in seeds] for name, seeds in five.items()})
            found = (proof.self_comparison(predictions, metric) for metric in METRICS)
            if told := tuple(one for one in found if one is not None):
                yield OfBoard(place, told)


def _five_seeds(group: View) -> dict[str, list[Identity]]:
    """Model and settings -> its seeds, where there are five or more."""
    table: dict[str, list[Identity]] = {}
    for record in group.records:
        one = record.identity
        if record.status == "ok" and not record.simulated and group.has_scores(one):
            table.setdefault(f"{one.model} {one.config_hash[:6]}", []).append(one)
    return {name: seeds for name, seeds in table.items() if len(seeds) >= 5}


def simulate(tests: int, before: Simulated, keep: Callable[[Simulated], object], say: Callable[[str], None]) -> Simulated:
    """The coverage of every world, of which those of `before` that are of the same program and as many tests stand.

    Args:
        tests: drawn from each world; 0: none, `before` is taken as it is.
        keep: given what there is after each world.
        say: told what comes next.
    """
    if not tests:
        return before
    found = Simulated(tests, provenance.code_hash())
    if (before.tests, before.code_hash) == (found.tests, found.code_hash):
        found = before
    for world in proof.WORLDS:
        if not any((one.users, one.training) == (world.users, world.training) for one in found.coverage):
            say(f"coverage: {world.users} users, training noise {world.training:g}, {tests} tests")
            found = replace(found, coverage=(*found.coverage, *proof.coverage(world, tests)))
            keep(found)
    return found


def from_json(path: Path) -> Audit:
    """The audit that was written to a file before; an empty one where there is none.

    Raises:
        UserError: it is not a whole audit of this program.
    """

    def broken(what: str) -> UserError:
        return UserError(f"{path} {what}; remove it, and everything is counted again")

    return read(Audit, text_of(path, broken), broken) if path.exists() else Audit()
