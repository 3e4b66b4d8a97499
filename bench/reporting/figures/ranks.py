"""Mean ranks over data sets.

The diagram of scikit-posthocs was weighed: for the forty lines of this one figure it wants statsmodels, seaborn and patsy, 70 MB,
and its own mean ranks would stand beside those of evaluation/ranks.py, which the sentence under the figure needs anyway.
"""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure

from ...evaluation.ranks import Ranking
from . import titles
from .style import STYLE, headed


def title(ranking: Ranking) -> str:
    """Which models are not shown to differ from the one with the best mean rank."""
    first, *others = ranking.models
    near = [name for name, rank in zip(others, ranking.mean_rank[1:], strict=True) if _near(rank, ranking)]
    if not near:
        return f"{first} has a better mean rank than every other model"
    return (
        f"{first} has the best mean rank, and is not shown to differ in it from {titles.some(near, len(others), 'other models')}"
    )


def _near(rank: float, ranking: Ranking) -> bool:
    return rank - ranking.mean_rank[0] <= ranking.critical_difference


def critical_difference(ranking: Ranking) -> Figure:
    """Mean ranks, best on top; bars join models whose ranks do not differ by more than the critical difference."""
    with matplotlib.rc_context(STYLE):
        about = f"Mean rank over {len(ranking.datasets)} data sets, with the critical difference at 5%"
        figure = headed(title(ranking), about, 1.2 + 0.22 * len(ranking.models))
        axes = figure.add_subplot()
        places = {model: len(ranking.models) - at for at, model in enumerate(ranking.models)}
        axes.plot(ranking.mean_rank, list(places.values()), "o", color="black")
        axes.set_yticks(list(places.values()), ranking.models)
        axes.set_ylim(0.3, len(places) + 1.4)
        axes.grid(axis="y", visible=False)
        best = ranking.mean_rank[0]
        end = best + ranking.critical_difference
        axes.annotate(
            "",
            (best, len(places) + 0.7),
            (end, len(places) + 0.7),
            arrowprops={"arrowstyle": "|-|", "mutation_scale": 3, "shrinkA": 0, "shrinkB": 0},
        )
        axes.text(end, len(places) + 0.7, f"  critical difference {ranking.critical_difference:.2f}", va="center", fontsize=8)
        right = max(*ranking.mean_rank, end) + 0.3
        for at, group in enumerate(ranking.groups):
            x = right + 0.15 * at
            axes.plot([x, x], [places[group[0]] + 0.2, places[group[-1]] - 0.2], color="black", linewidth=3, alpha=0.6)
        axes.set_xlim(0.7, right + 0.15 * len(ranking.groups) + 0.2)
        axes.set_xlabel("mean rank (1 is the best); bars at the right join models that do not differ")
        return figure
