"""The audit of the statistics as a page: coverage by simulation, and the models of a results folder against themselves."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.interval_audit import Audit, OfBoard
from ..evaluation.cards import shown
from ..evaluation.proof import Coverage, SelfComparison
from .board_files import markdown_table

MOST = 0.07
"""Share of self-comparisons that may be called different."""

COVERED = (0.93, 0.97)
"""Share of 95% intervals that must hold the truth."""


def to_markdown(found: Audit) -> str:
    """Both tables; what lies outside the bounds is bold."""
    parts = ["# Whether intervals hold what they promise"]
    if found.against_themselves:
        parts += [_HEAD_SELF, "\n".join(markdown_table(_self(found.against_themselves)))]
    if found.simulated.coverage:
        counted = (
            f"{found.simulated.tests} of each kind, by the program whose files have the hash {found.simulated.code_hash[:12]}."
        )
        parts += [f"{_HEAD_COVERAGE} {counted}", "\n".join(markdown_table(_coverage(found.simulated.coverage)))]
    return "\n\n".join(parts) + "\n"


_HEAD_SELF = (
    "Real models against themselves: three of five seeds against the two others, in all ten ways. They are one model, so that "
    f"95% intervals should call them different in 5% of cases; more than {MOST:.0%} is bold. The ten ways depend on each other, "
    "so that the share of a board with few models scatters more than that of all."
)

_HEAD_COVERAGE = (
    "Simulated tests: users with the sizes of ml-100k's test, four models that are truly alike, seeds that differ by `training`. "
    "Columns are shares in percent: 95% intervals of a value, of a difference beside other models, of a difference of two models "
    f"alone (outside {COVERED[0]:.0%} to {COVERED[1]:.0%} is bold); the truly best model among those that may be the best, which "
    "must be 95% at least; and how many of the four these are. The truth of a value is that of tests of as many users; `of few` "
    "is how far it lies from that of very many, which no interval of a test tells."
)


def _self(boards: Sequence[OfBoard]) -> list[list[str]]:
    """A line for each board and metric, then one for each metric over all boards."""
    body = [["board", "metric", "models", "different", "share", "most often"]]
    together: dict[str, list[SelfComparison]] = {}
    for board in boards:
        for one in board.found:
            together.setdefault(one.metric, []).append(one)
            body.append([board.board, *_compared(one)])
    if len(boards) > 1:
        for metric, found in together.items():
            models, compared, different = (sum(counts) for counts in zip(*map(_counts, found), strict=True))
            worst = max(found, key=lambda one: one.share).worst
            body.append(["all", *_compared(SelfComparison(metric, models, compared, different, worst))])
    return body


def _counts(one: SelfComparison) -> tuple[int, int, int]:
    return one.models, one.compared, one.different


def _compared(one: SelfComparison) -> list[str]:
    share = f"{one.share:.1%}"
    told = f"**{share}**" if one.share > MOST else share
    return [shown(one.metric), str(one.models), f"{one.different} of {one.compared}", told, one.worst]


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
