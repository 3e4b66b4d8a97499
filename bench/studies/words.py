"""Sentences that several studies say. None claims what an interval does not show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..evaluation.cards import shown
from ..evaluation.stats import LEAST_USERS
from .grid import EXTENSIONS, STEP, Comparison, Finding


def place(value: str | float) -> str:
    """A place along an axis as text."""
    return value if isinstance(value, str) else f"{value:g}"


def difference(comparison: Comparison) -> str:
    """Value, interval and what it shows."""
    found = comparison.difference
    verdict = f", {'above' if found.low > 0 else 'below'}" if found.shown else ""
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]{verdict}"


def against(what: str, finding: Finding, comparisons: Sequence[Comparison], reference: str | None = None) -> str:
    """One sentence of several differences to one reference, named by its place unless another name is given; `what` names
    those that are compared, such as a model."""
    name = place(comparisons[0].other.point.at) if reference is None else reference
    return f"{what}: {shown(finding.headline)} against {name}: {_listed(comparisons)}"


def by_step(what: str, finding: Finding, comparisons: Sequence[Comparison]) -> str:
    """One sentence of differences, each to the point before it."""
    first = place(comparisons[0].other.point.at)
    return f"{what}: {shown(finding.headline)} of each step against the one before, from {first} on: {_listed(comparisons)}"


def _listed(comparisons: Sequence[Comparison]) -> str:
    listed = "; ".join(f"{place(one.one.point.at)} {difference(one)}" for one in comparisons)
    shown, count = sum(one.difference.shown for one in comparisons), len(comparisons)
    if shown == 0:
        return f"{listed}. No difference is shown."
    return f"{listed}. {'All' if shown == count else f'{shown} of {count}'} shown."


def by_series(finding: Finding) -> Iterable[str]:
    """`against` for each series: its comparisons have one reference."""
    for series in finding.series:
        own = [one for one in finding.comparisons if one.one.point.series == series]
        if own:
            yield against(series, finding, own)


def about_part(series: Sequence[str]) -> Iterable[str]:
    """That a study was asked about some of its series alone.

    Args:
        series: the patterns of Scope.
    """
    if series:
        yield f"A part of the study: {', '.join(series)}, with what these are compared with."


def about_intervals(finding: Finding) -> Iterable[str]:
    """How the intervals of the comparisons are to be read."""
    count = len(finding.comparisons)
    if count:
        together = f"They hold for all {count} comparisons of this study at once" if count > 1 else "It is of a single comparison"
        yield (
            f"Brackets after differences are paired 95% intervals over test users and seeds. {together}; a difference is called "
            "shown if its interval leaves out zero."
        )


def about_headline(finding: Finding) -> Iterable[str]:
    """Which metric compares, where that is not ranking within a request."""
    if finding.headline == "auc":
        yield f"Fewer than {LEAST_USERS} test users have a request with both labels: points are compared by AUC."


def about_choice(finding: Finding) -> Iterable[str]:
    """Where each point's settings come from."""
    numbers = {len(one.point.candidates) for one in finding.measurements}
    if numbers == {1}:
        yield (
            "Every other setting is the model's default or what the command says, the same at every point: a point that would "
            "need another learning rate is shown below what it can do."
        )
        return
    monitor = finding.measurements[0].records[0].config["train"]["monitor"].upper()
    fixed = " Points with a single learning rate keep the model's own." if 1 in numbers else ""
    tried = sorted(numbers - {1})
    count = f"{tried[0]} to {tried[-1]}" if len(tried) > 1 else f"{tried[0]}"
    yield (
        f"Each point keeps the best of {count} learning rates by validation {monitor}, chosen on a single training each, of the "
        "first seed: between neighbouring rates the choice may be noise. While the best lay at the edge, the rates were extended "
        f"by a factor of {STEP:g}, {EXTENSIONS} times at most.{fixed}"
    )
    edge = [one.point.label for one in finding.measurements if one.at_edge]
    if edge:
        yield (
            f"The best learning rate still lies at the edge of those tried at {len(edge)} of {len(finding.measurements)} points, "
            f"which may be shown below what they can do: {'; '.join(edge)}."
        )
    else:
        yield "At every point with several learning rates the best lies inside those tried."
