"""Words of what a pass through time says."""

from __future__ import annotations

from ..analysis.stream_statements import AboveFloors, BeyondEnvelope, Envelopes, FirstWindow, FloorsToTarget, ToTarget, Work
from ..evaluation.cards import shown
from .study_words import short
from .words import listed, sentence


@sentence.register
def _(one: ToTarget) -> str:
    goal = f"AUC {one.target:g} on the next window"
    if one.work is None:
        return f"{one.row}: {goal} is not reached; the best window has {one.best:.4f}."
    how = f"reached by {one.reached} of {one.seeds} seeds, by these" if one.reached < one.seeds else "reached"
    flops = f", {short(one.work.flops)} FLOPs" if one.work.flops else ""
    return f"{one.row}: {goal}, {how} after {samples(one, one.work)} samples, {one.work.seconds:.1f} s{flops}."


def samples(one: ToTarget, work: Work) -> str:
    """How many samples the target takes, with their interval if there is one."""
    spread = "" if one.samples is None else f" [{short(max(one.samples.low, 0))}, {short(one.samples.high)}]"
    return f"{short(work.samples)}{spread}"


@sentence.register
def _(one: FloorsToTarget) -> str:
    if not one.floors:
        return f"No floor reaches AUC {one.target:g}."
    reach = "reaches" if len(one.floors) == 1 else "reach"
    return (
        f"{listed(one.floors)}, which {'is a floor' if len(one.floors) == 1 else 'are floors'}, {reach} AUC {one.target:g} too: "
        "the target alone does not tell a model from a floor."
    )


@sentence.register
def _(one: AboveFloors) -> str:
    last = f"{one.last:+.4f} in the last one, a description of these runs"
    return f"{one.row}: {shown(one.metric)} is above that of every floor in {one.windows} of {one.of} windows; {last}."


@sentence.register
def _(one: BeyondEnvelope) -> str:
    return (
        f"LOOK FOR A LEAK: {one.row} seed {one.seed} has AUC {one.auc:.4f} in window {one.window}, above {one.bound:.4f}, the "
        f"bound that {one.seeds} other seeds of it make. It accuses nobody: a better program is above it, too."
    )


@sentence.register
def _(one: Envelopes) -> str:
    said = []
    if one.watched:
        said.append(
            f"Curves of {listed(one.watched)} are held against the envelope of other seeds, which an honest seed leaves upwards "
            f"once in {round(1 / (1 - one.level))}"
        )
    if one.unknown:
        said.append(f"{listed(one.unknown)}: fewer than {one.least} other seeds make no envelope")
    return "; ".join(said) + "."


@sentence.register
def _(one: FirstWindow) -> str:
    return (
        f"{one.windows} windows are scored, each before anything was learned from it or from a later one. The first window, "
        f"{one.samples:,} samples, is learned from without being scored."
    )
