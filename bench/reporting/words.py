"""Words of statements: one function per kind, and no other place that makes them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

from ..analysis.statements import (
    AgainstFloor,
    AucPairs,
    Best,
    Costs,
    CutWinners,
    Differs,
    Disagreement,
    Families,
    Headline,
    Loaded,
    Machines,
    Mismatch,
    MissingFamily,
    NoFloor,
    Pair,
    ProcessCounts,
    Reachable,
    SampledTest,
    SeedCounts,
    SingleSeeds,
    Smallest,
    Statement,
    Uncommitted,
    Unlearnt,
    Untuned,
)
from ..data.mismatch import RoleFacts
from ..evaluation.cards import shown
from ..evaluation.stats import LOWER_IS_BETTER, Estimate, Metric


@functools.singledispatch
def sentence(statement: Statement) -> str:
    """A statement as one or a few whole sentences."""
    raise TypeError(f"no words for {type(statement).__name__}")


def sentences(statements: Iterable[Statement]) -> list[str]:
    return [sentence(one) for one in statements]


def difference(found: Estimate) -> str:
    """A difference with its interval."""
    if math.isnan(found.value):
        return "not defined"
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def level(found: Estimate) -> str:
    """A value with its interval."""
    return "not defined" if math.isnan(found.value) else f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"


def listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


def verdict(pair: Pair) -> str:
    """What is known of a pair, without its numbers: a clause."""
    if pair.verdict == "not settled":
        return f"whether {pair.one} is better or worse than {pair.other} is not settled"
    return f"{pair.one} is {pair.verdict} {'to' if pair.verdict == 'equivalent' else 'than'} {pair.other}"


def how_sure(at_once: int) -> str:
    """What an interval holds for."""
    return "as a single comparison" if at_once == 1 else f"for all {at_once:,} comparisons together"


def of_pair(pair: Pair) -> str:
    """Numbers of a pair, and what they hold for."""
    basis = "declared before the runs" if pair.basis == "declared" else "post hoc"
    return f"{difference(pair.difference)} (95% {how_sure(pair.at_once)}; {basis})"


@sentence.register
def _(one: Pair) -> str:
    lacks = "".join(f" {label} is not tuned, because its model has no tuned row here." for label in one.untuned)
    return f"By {shown(one.metric)}, {verdict(one)}: {one.one} minus {one.other} is {of_pair(one)}.{lacks}"


@sentence.register
def _(one: Families) -> str:
    pair = one.pair
    floor = f" The mean of a floor, {one.floor}, lies above both: nothing is shown to have been learnt." if one.floor else ""
    return (
        f"By {shown(pair.metric)}, of the best generative and the best classical row, {verdict(pair)}: "
        f"{pair.one} minus {pair.other} is {of_pair(pair)}.{floor}"
    )


@sentence.register
def _(one: MissingFamily) -> str:
    return f"The question is not asked: no {one.family} ranker was run."


@sentence.register
def _(one: Disagreement) -> str:
    first, second = one.first, one.second
    return (
        f"The two headlines disagree. Within a request ({shown(first.metric)}), {verdict(first)}; over all pairs of examples "
        f"({shown(second.metric)}), {verdict(second)}."
    )


@sentence.register
def _(one: Headline) -> str:
    where = f"{one.requests:,} requests with both labels, of {one.users:,} users"
    rows = f"{one.rows:,} of {one.test_rows:,} test examples stand in {where}"
    if one.metric == "auc":
        return (
            f"Rows are ordered by AUC, because too little can be said of ranking within a request: {rows}, and at least "
            f"{one.least_users} users are needed."
        )
    return f"Rows are ordered by {shown(one.metric)}, the ranking within a request, whose examples share one history: {rows}."


@sentence.register
def _(one: AucPairs) -> str:
    if math.isnan(one.within_user):
        return "AUC does not exist: the test examples have a single label value."
    return (
        f"Of the pairs that AUC compares, {one.within_user:.2%} lie within one user and {one.within_request:.2%} within one "
        "request: AUC is mostly about telling users apart. User GAUC stands beside it and decides nothing, because with live "
        "histories it punishes a model for reading a user's own past."
    )


@sentence.register
def _(one: Best) -> str:
    first = f"The highest {shown(one.metric)} is that of {one.label}, {level(one.value)}"
    if not one.others:
        return f"{first}; with 95% confidence no other row is the best."
    floors = f" Among these {'is a floor' if len(one.floors) == 1 else 'are floors'}: {listed(one.floors)}." if one.floors else ""
    return f"{first}. Not distinguishable from the best: {listed(one.others)}.{floors}"


@sentence.register
def _(one: Smallest) -> str:
    if math.isnan(one.half_width):
        return f"No difference in {shown(one.metric)} could be shown here."
    fine = one.half_width <= one.margin
    equivalence = "" if fine else f" Two typical rows cannot be shown to be equivalent within ±{one.margin:g}."
    return (
        f"The smallest difference in {shown(one.metric)} that a single comparison of two typical rows shows here is "
        f"{one.half_width:.4f}; a true one of {one.detectable:.4f} would be shown in 80% of samples.{equivalence}"
    )


@sentence.register
def _(one: AgainstFloor) -> str:
    better, floor = one.of("better"), f"the best floor, {one.floor}"
    others = {word: one.of(word) for word in ("not settled", "equivalent", "worse") if one.of(word)}
    if not others:
        return f"By {shown(one.metric)}, every learnt row is better than {floor}."
    reasons = "; ".join(f"{word}: {listed(labels)}" for word, labels in others.items())
    first = one.pairs[0]
    if not better:
        ahead = f"The one with the highest value, {first.one}, minus {one.floor} is {of_pair(first)}."
        return f"By {shown(one.metric)}, no learnt row is shown to be better than {floor} ({reasons}). {ahead}"
    return f"By {shown(one.metric)}, better than {floor}: {listed(better)}. Not shown to be better: {reasons}."


@sentence.register
def _(one: NoFloor) -> str:
    return "No floor was run, so it is not shown that any of these models beats a trivial one."


@sentence.register
def _(one: Untuned) -> str:
    return "No row is tuned: every model has its defaults, apart from the settings that its label names."


@sentence.register
def _(one: CutWinners) -> str:
    return f"Found by a trial that a limit of time ended, and trained under the same limit: {listed(one.labels)}."


@sentence.register
def _(one: Mismatch) -> str:
    def described(role: RoleFacts) -> str:
        new, gap = role.user_events["0"], role.user_gap_days
        days = "" if gap is None else f", the others' last one {gap:.1f} days ago (median)"
        return f"{new:.0%} of the rows are of users without training events{days}"

    valid, test = one.facts.valid, one.facts.test
    return f"Epochs and settings are chosen on validation ({described(valid)}) and judged on the test ({described(test)})."


@sentence.register
def _(one: SampledTest) -> str:
    return (
        f"Test negatives are not impressions but sampled items ({one.negatives}, {one.rate:g} per positive, the same for every "
        "row). Telling liked items from sampled ones is another task than telling them from what was shown: compare no number "
        "here with one of exposed negatives. Positives are left out whose item nobody had met earlier"
        f"{'' if one.repeats else ', or that their user had met before'} (docs/ideas/negatives.md)."
    )


@sentence.register
def _(one: Costs) -> str:
    generative, classical = one.generative, one.classical
    flops = ""
    if generative.flops_per_example and classical.flops_per_example:
        ratio = generative.flops_per_example / classical.flops_per_example
        flops = f", with {ratio:.2f} times the arithmetic of {classical.label} per training example"
    return (
        f"The cost, in {generative.clock}: {generative.label} trains for {generative.train_seconds:.1f} s and scores 100 "
        f"candidates in {generative.latency_ms:.1f} ms{flops}; {classical.label} takes {classical.train_seconds:.1f} s and "
        f"{classical.latency_ms:.1f} ms."
    )


@sentence.register
def _(one: SeedCounts) -> str:
    few, many = min(one.counts.values()), max(one.counts.values())
    counts = ", ".join(f"{label} {count}" for label, count in one.counts.items())
    return f"Rows differ in their number of seeds ({few} to {many}): {counts}."


@sentence.register
def _(one: SingleSeeds) -> str:
    which = "all rows" if one.every else listed(one.labels)
    borrowed = "no interval can be trusted" if one.every else "it is taken to be that of the other rows"
    return f"One seed, so that training noise is not measured and {borrowed}: {which}."


@sentence.register
def _(one: Unlearnt) -> str:
    counts = listed([f"{count} of {one.of[label]} of {label}" for label, count in one.runs.items()])
    return (
        "On validation these runs are not told from chance (AUC below .5, or less than two standard errors above): "
        f"{counts}. Training may have ended before they began to learn: train.patience=10 and train.epochs=60 let all models "
        "wait longer."
    )


@sentence.register
def _(one: Machines) -> str:
    names = "; ".join(f"{machine.device} ({machine.processor}, {machine.threads} threads)" for machine in one.machines)
    return f"Times and memory of different machines are not comparable; these runs come from {names}."


@sentence.register
def _(one: ProcessCounts) -> str:
    counts = listed([str(count) for count in one.counts])
    how = f"how many processes trained together ({counts})"
    return f"Runs differ in {how}, and with that in the examples of a step (docs/howto/devices.md)."


@sentence.register
def _(one: Loaded) -> str:
    which = f"{one.loaded} of {one.runs} runs" if one.loaded < one.runs else f"All {one.runs} runs"
    return f"{which} began on a machine with more work than cores: their times are marked † and compared with nothing."


@sentence.register
def _(one: Differs) -> str:
    what = {
        "kernel": f"The kernel of {one.name}",
        "version": f"The version of {one.name}",
        "code": "The code (hash of the program's source files)",
        "precision": "The precision of training",
        "matmul": f"The setting {one.name} of matrix products",
    }[one.what]
    values = "; ".join(f"{value}: {', '.join(labels)}" for value, labels in one.values.items())
    return f"{what} differs between runs: {values}."


@sentence.register
def _(one: Uncommitted) -> str:
    return f"{one.runs} run{'s were' if one.runs > 1 else ' was'} made by code with uncommitted changes."


@sentence.register
def _(one: Reachable) -> str:
    return f"The best reachable AUC over all events of this simulated data is {one.auc:.4f}."


def better(metric: Metric) -> str:
    """Which way is better, for axes."""
    return f"{'lower' if metric in LOWER_IS_BETTER else 'higher'} is better"
