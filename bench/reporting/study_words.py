"""Words of the statements that studies make; see words.py, which these are a part of once this module is imported."""

from __future__ import annotations

from ..analysis.study_statements import (
    AtEqualFlops,
    Calibration,
    Candidates,
    CommonTest,
    Crossover,
    DifferenceAt,
    Differences,
    FewUsers,
    Held,
    NoMatch,
    NothingLeftOut,
    Otherwise,
    PartOfStudy,
    Probabilities,
    Remark,
    SemanticIds,
    Trend,
)
from ..evaluation.cards import shown
from ..evaluation.stats import Verdict
from .words import difference, how_sure, listed, sentence

VERDICTS: tuple[Verdict, ...] = ("better", "worse", "equivalent", "not settled")

REMARKS = {
    "dense reach": (
        "A length is what an example sees directly. Generative rankers train on long segments, and each of their layers looks "
        "one length further back; --set data.supervision=impression keeps them to the length itself."
    ),
    "exposed test": (
        "One test for all rows: logged impressions, wanted or not. A test of sampled negatives is another task with other "
        "numbers: --set data.test_negatives=uniform."
    ),
    "odds": (
        "The correction is exact for thinned exposed negatives. For sampled ones it puts the mean right at best: a sampled item "
        "is not an exposed one (docs/ideas/negatives.md). It changes no order, so no metric of ranking."
    ),
    "training flops": (
        "Intervals of scaling are over seeds and test users together; slopes are for a tenfold size. FLOPs of training are three "
        "times those of a forward pass, for every example of every epoch; epochs differ, because training stops by validation."
    ),
    "ids": (
        "A user without training events has no id that training knows: what the id brings to such users is what it takes from "
        "the rest of the model. Slices are single comparisons, each of its own examples alone."
    ),
    "behaviours": (
        "A behaviour is an outcome by which events are labelled. Test examples are the same everywhere, and judged by the main "
        "label; what a model is told of the past is not, and a history holds at most history_length events of its kind."
    ),
    "domains of items": (
        "Every item is of one domain alone: its id tells the domain, also where the field is hidden, to a model that knows the "
        "item. What a model says of a domain that it was not trained on is left out: it would know none of its items."
    ),
    "domains": (
        "One for each domain: as many models, each trained, validated and asked on its own domain, their costs added up; each "
        "may take about as many steps as one for all, up to ten times the epochs, and all are watched by the same metric. Every "
        "model sees all earlier events of a user, of whatever domain. Ranking within a request is ranking among its examples of "
        "one domain, for every way to train. AUC of all domains together is not compared where each has a model of its own: it "
        "would compare scores of models that were trained apart, whose levels differ. Results by domain are single comparisons "
        "on its test rows, post hoc."
    ),
    "side information": (
        "Costs are those of one training by the same model without features; they are facts about these runs, without intervals. "
        "What a feature brings to one model of a family need not be what it brings to another. Features are read as the source "
        "gives them: a source that publishes one snapshot of them (the user features of KuaiRand carry no date) may tell of "
        "times after an example."
    ),
    "cold start": (
        "Held-out items are a share of all items, chosen by a hash of their names, of whose training events nothing was learned; "
        "new ones have none. Events of an item are those of training, all that a trained model can know of it; events of a user "
        "are all those before the example. Intervals on held-out items hold for all comparisons with the id together; other "
        "slices are single comparisons, each of its own examples alone, post hoc. Intervals of slices by item are over items as "
        "well as users: what a model takes an item for is the same for all who meet it, so that few items say little, however "
        "many examples they have."
    ),
    "losses": (
        "pairwise and listwise ask for an order within each request and leave its level free. Their scores are no "
        "probabilities: what logloss, NE and ECE say of them is no fault, but the price of not asking; and AUC, nearly all of "
        "whose pairs are of two users, compares levels that nothing has set. joint and jrc ask for both. Every loss within "
        "requests has batches of whole requests, and so has the bce that it is compared with, so that a loss is not mixed up "
        "with its batches; what these change alone is said by `bce, batches of examples`. Sequence models learn from segments, "
        "which hold whole requests under any loss."
    ),
    "within request": (
        "By default, unless its card says otherwise, a generative ranker reads a candidate as the next token of the sequence and "
        "scores its state. The candidate layout gives it a token of its own that nothing else sees; target attention lets it ask "
        "the past once more, in the head, as DIN does. Over states that do not know the candidate, the head alone tells "
        "candidates of a request apart. Item fields are changed for DIN too: a lead that is made of them would go with them."
    ),
    "windows": (
        "Windows follow each other in time and hold about as many events each. The first is behind the same training, once or "
        "again: verdicts and table are of the windows from the second on. Results of one window are single comparisons. A model "
        "is retrained with the learning rate that it has when it is trained once. Every model sees the events of its user up to "
        "each request, whenever it was trained: what gets old is what training learned. Windows differ in how hard they are: "
        "differences within a window say what age costs, levels from window to window do not. AUC of all windows together is not "
        "compared where several runs judge them: it would compare scores of models that were trained apart, whose levels differ. "
        "`retrained` learns from more events than `trained once`; `retrained on as many` from a random part of them, as many as "
        "`trained once` had, so that what is left is how fresh they are."
    ),
    "steps": (
        "A step on training rows leaves the test as it is. A step on all rows leaves users and items out by what they do in the "
        "test: its own test asks about others, and is another one. A difference on common rows says what was learned, a "
        "difference between two tests says what was asked."
    ),
}
"""Topic of a Remark -> its words."""


def place(value: str | float) -> str:
    """A place along an axis as text."""
    return value if isinstance(value, str) else f"{value:g}"


def counted(differences: tuple[DifferenceAt, ...]) -> str:
    """2 better, 1 not settled"""
    words = [one.verdict for one in differences]
    return ", ".join(f"{words.count(word)} {word}" for word in VERDICTS if word in words)


@sentence.register
def _(one: Differences) -> str:
    items = "; ".join(f"{place(item.at)} {difference(item.difference)}, {item.verdict}" for item in one.differences)
    where = f", {one.part}" if one.part else ""
    users = f" ({one.users:,} users)" if one.users is not None else ""
    reference = place(one.reference)
    what = f"of each step against the one before, from {reference} on" if one.steps else f"against {reference}"
    total = f" ({counted(one.differences)})" if len(one.differences) > 1 else ""
    return f"{one.series}{where}{users}: {shown(one.metric)} {what}: {items}.{total}"


@sentence.register
def _(one: PartOfStudy) -> str:
    return f"A part of the study: {', '.join(one.series)}, with what these are compared with."


@sentence.register
def _(one: Held) -> str:
    return (
        f"Brackets after differences are paired 95% intervals over test users and seeds, {how_sure(one.comparisons)} by one "
        f"metric. better and worse: the interval excludes zero; equivalent: it lies within ±{one.margin:g}; not settled: "
        "anything else."
    )


@sentence.register
def _(one: Candidates) -> str:
    if one.most == 1:
        return (
            "Every other setting is the model's default or what the command says, the same at every point: a point that would "
            "need another learning rate is shown below what it can do."
        )
    fixed = " Points with a single learning rate keep the model's own." if one.some_single else ""
    count = f"{one.fewest} to {one.most}" if one.fewest < one.most else f"{one.most}"
    edge = " At every point with several learning rates the best lies inside those tried."
    if one.at_edge:
        edge = (
            f" The best learning rate still lies at the edge of those tried at {len(one.at_edge)} of {one.points} points, "
            f"which may be shown below what they can do: {'; '.join(one.at_edge)}."
        )
    return (
        f"Each point keeps the best of {count} learning rates by validation {shown(one.monitor)}, chosen on a single training of "
        "the first seed each: between neighbouring rates the choice may be noise. While the best lay at the edge, the rates were "
        f"extended by a factor of {one.step:g}, {one.extensions} times at most.{fixed}{edge}"
    )


@sentence.register
def _(one: Calibration) -> str:
    items = "; ".join(f"{place(point.at)} {point.before:.4f} and {point.after:.4f}" for point in one.points)
    return f"{one.series}: ECE before and after correction of the odds: {items}. No interval: a description of these runs."


@sentence.register
def _(one: Probabilities) -> str:
    asked, free = (
        "; ".join(f"{place(at.at)} {at.logloss:.4f} and {at.ece:.4f}" for at in one.points if at.asked == wanted)
        for wanted in (True, False)
    )
    apart = f"; of scores that are not asked to be probabilities: {free}" if free else ""
    return f"{one.series}: logloss and ECE, means over seeds, a description of these runs: {asked}{apart}."


@sentence.register
def _(one: Remark) -> str:
    return REMARKS[one.topic]


@sentence.register
def _(one: SemanticIds) -> str:
    text = one.facts.line()
    return f"{text[0].upper()}{text[1:]}."


@sentence.register
def _(one: CommonTest) -> str:
    metric = shown(one.metric)
    own = "; ".join(f"{entry.name} {entry.rows:,} rows, {entry.value:.4f}" for entry in one.own)
    if all(entry.rows == one.rows for entry in one.own):
        return f"All data sets have the same {one.rows:,} test rows: verdicts and table are of these."
    return (
        f"The test sets differ. Verdicts and table are of the {one.rows:,} test rows that all data sets have, where {one.model} "
        f"has {metric} {one.common:.4f} without any step. On the own test of each data set, which nothing here compares, its "
        f"{metric} is: {own}."
    )


@sentence.register
def _(one: NothingLeftOut) -> str:
    return f"Steps that leave nothing out of this log, so that there is nothing to train: {', '.join(one.steps)}."


CROSSED = {
    "crossover": "{one} is ahead where items have many examples and behind where they have few",
    "grows": "what {one} is ahead by, or behind by less, grows with the examples of an item",
    "shrinks": "what {one} is ahead by, or behind by less, shrinks with the examples of an item",
    "not shown": "no change with the examples of an item is shown",
}


@sentence.register
def _(one: Crossover) -> str:
    return (
        f"{one.one} minus {one.other}, both trained on {one.share:.3g} of the examples, by {shown(one.metric)}: on items with "
        f"{one.least:,} training examples or more ({one.items_many:,} items) {difference(one.many)}; on items with fewer, but "
        f"some ({one.items_few:,} items) {difference(one.few)}; the first minus the second {difference(one.apart)}: "
        f"{CROSSED[one.outcome].format(one=one.one)}. Post hoc; intervals are over users, items and seeds."
    )


@sentence.register
def _(one: AtEqualFlops) -> str:
    return (
        f"At equal FLOPs of training ({one.flops[0]:.2g} and {one.flops[1]:.2g}), {shown(one.metric)} of {one.one} minus "
        f"{one.other}: {difference(one.difference)}, {how_sure(one.at_once)}: {one.verdict}."
    )


@sentence.register
def _(one: NoMatch) -> str:
    return f"{one.one} and {one.other} overlap in FLOPs of training, but no two points are within 10%: nothing is claimed."


@sentence.register
def _(one: FewUsers) -> str:
    return f"Fewer than {one.least} test users: no interval can be trusted, and nothing is said of scaling."


@sentence.register
def _(one: Otherwise) -> str:
    outcomes: dict[str, list[str]] = {}
    for trend in one.trends:
        outcomes.setdefault(brief(trend), []).append(f"{loss_name(trend)} over {trend.axis}")
    said = "; ".join(f"{outcome} ({', '.join(where)})" for outcome, where in outcomes.items())
    return f"{one.series}, otherwise: {said}."


@sentence.register
def _(one: Trend) -> str:
    if one.outcome == "still":
        return f"{one.series}: {one.axis} hardly change, so that nothing is fitted."
    span = f"{one.series}, {short(one.first)} to {short(one.last)} {one.axis}"
    slope = f" Slope {difference(one.slope)}." if one.slope is not None else ""
    held = ""
    if one.held_out is not None:
        numbers = f"{one.held_out.predicted:.4f} for the largest, observed {one.held_out.observed:.4f}"
        held = f" Fitted without the largest sizes, {one.shape} predicts {numbers}, error {difference(one.held_out.error)}."
    return f"{span}: {_outcome(one)}.{slope}{held}"


def brief(one: Trend) -> str:
    """The outcome in a few words."""
    if one.outcome == "still":
        return "hardly moves"
    if one.outcome == "no scaling shown":
        return one.outcome
    if one.slope is None:
        return "too few sizes"
    slope = f"{one.slope.value:+.4f} for tenfold"
    return f"{slope}, {one.shape}" if one.outcome == "law" else f"{slope}, law not identified"


def loss_name(one: Trend) -> str:
    """As figures and sentences name a loss."""
    return {"logloss": "logloss", "1 - request_gauc": f"1 - {shown('request_gauc')}", "1 - auc": f"1 - {shown('auc')}"}[one.loss]


def short(value: float) -> str:
    """43.2k: three digits, and never a power of ten."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # which three digits round to it
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _outcome(one: Trend) -> str:
    loss = loss_name(one)
    if one.outcome == "law":
        return _law(one, loss)
    if one.outcome == "no scaling shown":
        return f"no scaling shown, {one.reason}"
    if one.slope is not None and one.slope.shown:
        return f"{loss} {_way(one.slope.value)}, by a law that is not identified: {one.reason}"
    return f"not identified: {one.reason}"


def _way(slope: float) -> str:
    return "falls" if slope < 0 else "rises: larger is worse"


def _law(one: Trend, loss: str) -> str:
    if one.shape == "power law":
        floor, scale, exponent = one.parameters
        profile = f", profile [{one.exponent[0]:.2f}, {one.exponent[1]:.2f}]" if one.exponent else ""
        text = (
            f"{loss} = E + A x^-a with E {floor.value:.4f} [{floor.low:.4f}, {floor.high:.4f}], A {scale.value:.3g}, "
            f"a {exponent.value:.2f} [{exponent.low:.2f}, {exponent.high:.2f}]{profile}"
        )
    elif one.shape == "log-linear":
        text = f"{loss} = a + b ln x, which {_way(one.parameters[1].value)}"
    else:
        text = f"{loss} is a parabola in ln x, {_turn(one)}"
    return text + (f" (by AICc, {listed(one.rivals)} would do as well)" if one.rivals else "")


def _turn(one: Trend) -> str:
    if one.turn is None or not one.turn.inside:
        return "which turns at none of these sizes"
    at = one.turn.at
    return f"{'lowest' if one.turn.lowest else 'highest'} at {short(at.value)} [{short(at.low)}, {short(at.high)}]"
