"""One model for each domain or one for all: with and without the domain as an input, and rankers that are made for several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ... import registry
from ...analysis.comparison import HeadlineMetric
from ...analysis.parts import SliceOfTest, part
from ...analysis.statements import Statement
from ...analysis.study_statements import DifferenceAt, Differences, Remark
from ...errors import UserError
from ...evaluation.cards import shown
from ...evaluation.stats import LEAST_USERS, Estimate, Verdict
from ...reporting.figures.curves import Mark
from ...reporting.figures.ladder import Rung, ladder
from ..figure_data import levels, place, rung
from ..grid import Measurement, PointPair, Study, StudyResult
from ..offers import OfferedDomains
from ..points import PartOfPoint, Point, Scope, as_many_steps, retuned
from ..verdicts import against

RANKERS = ("ple", "star", "pepnet")
"""Made for several domains; their inputs are those of CLASSICAL."""
CLASSICAL = "din"
FLOOR = "lr"
OWN = "own"
"""Factor of models of one domain, which stand for nothing on the test of all."""

TOGETHER, HIDDEN, APART = "one for all", "one for all, domain hidden", "one for each domain"
SMALL = "the small ones"

Asked = Sequence[tuple[Measurement, Measurement]]
"""First against second."""

COMPARED = ("another way to train", "one model for all that knows the domain, or for rankers of several domains, DIN")


def name_of(values: tuple[str, ...]) -> str:
    """Of domains that are asked about together."""
    return (values[0] or "missing") if len(values) == 1 else SMALL


def trained_on(values: tuple[str, ...]) -> str:
    """Place of a model that was trained on these domains alone."""
    return f"trained on {name_of(values)}"


def points(scope: Scope) -> Iterable[Point]:
    """Raises UserError: the log has fewer than two domains, or there is no model to ask about."""
    groups = scope.offers.domains
    if len(groups) < 2:
        raise UserError("study domains needs a data set that declares a domain with several values (`domain` in its YAML file)")
    yield Point(FLOOR, FLOOR, FLOOR)
    for model in dict.fromkeys((*scope.models, CLASSICAL)):
        if model in RANKERS or registry.MODELS[model].family == "floor":
            continue
        rates = retuned(model, scope.size)
        yield Point(model, TOGETHER, model, (), rates)
        yield Point(model, HIDDEN, model, ("data.domain_field=false",), rates)
        own = [Point(model, trained_on(one.values), model, _training_on(model, scope, one), rates, OWN) for one in groups]
        parts = [
            PartOfPoint(_training_on(model, scope, domains), domains.values, one.label)
            for domains, one in zip(groups, own, strict=True)
        ]
        yield Point(model, APART, model, parts=tuple(parts))
        yield from own
    for model in RANKERS:
        yield Point(model, TOGETHER, model, (), retuned(model, scope.size))


def _training_on(model: str, scope: Scope, domains: OfferedDomains) -> tuple[str, ...]:
    """Settings, with the domains as YAML reads a list of text."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in domains.values)
    return (f"data.domains=[{listed}]", *as_many_steps(model, scope, domains.of_examples))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every way to train against one model for all; rankers of several domains against DIN, both one for all. What a model of one
    domain says of others is no way to train, and is compared by domain alone."""
    found = {(point.series, point.at): point for point in points}
    for point in points:
        if point.model in RANKERS:
            yield point, found[CLASSICAL, TOGETHER]
        elif point.at in (HIDDEN, APART):
            yield point, found[point.series, TOGETHER]


def _groups(finding: StudyResult) -> dict[str, np.ndarray]:
    """Name of a domain -> bool [test rows], in the order of the grid, the small ones last."""
    whole = next((one.point for one in finding.measurements if one.point.side_by_side), None)
    if whole is None or finding.domains is None:
        return {}
    return {name_of(part.domains): np.isin(finding.domains, part.domains) for part in whole.parts}


def by_domain(finding: StudyResult, metric: HeadlineMetric, pairs: Asked, only: str | None = None) -> list[SliceOfTest]:
    """The pairs on the test rows of each domain, or of one; every interval is that of one comparison on one domain."""
    labels = [(one.row.label, other.row.label) for one, other in pairs]
    asked = {name: mask for name, mask in _groups(finding).items() if only in (None, name) and labels}
    slices = [part(finding.measured, metric, name, mask, labels) for name, mask in asked.items()]
    return [one for one in slices if one.users >= LEAST_USERS]


def transfers(finding: StudyResult, model: str, domain: str) -> Asked:
    """Of one domain: all other models of the series, and those that were trained elsewhere, against the one trained on it. Where
    every item is of one domain, models that were trained elsewhere know none of its items, and are left out."""
    own = f"trained on {domain}"
    elsewhere = not finding.scope.offers.domain_by_item
    alone = [
        one
        for one in finding.series[model]
        if not one.point.side_by_side and (elsewhere or one.point.factor != OWN or one.point.at == own)
    ]
    reference = next(one for one in alone if one.point.at == own)
    return [(one, reference) for one in alone if one is not reference]


def _models(finding: StudyResult) -> list[str]:
    return [name for name, group in finding.series.items() if any(one.point.side_by_side for one in group)]


def _over_domains(metric: HeadlineMetric, one: Measurement) -> bool:
    """Whether all domains together say something of it: pairs of examples from two domains compare scores of models that were
    trained apart, whose levels differ by chance. A request is of one domain (frames.joined)."""
    return metric == "request_gauc" or not one.point.side_by_side


def statements(finding: StudyResult) -> Iterable[Statement]:
    rankers: list[PointPair] = []
    for metric, comparisons in finding.pairs.items():
        for model in _models(finding):
            own = [one for one in comparisons if one.one.point.series == model and _over_domains(metric, one.one)]
            if own:
                yield against(model, own, TOGETHER)
        rankers = [one for one in comparisons if _is_ranker(one.one)]
        if rankers:
            made = tuple(DifferenceAt(one.one.point.model, one.difference, one.verdict) for one in rankers)
            yield Differences("rankers of several domains", metric, CLASSICAL, made, False, rankers[0].at_once)
    for metric, comparisons in finding.pairs.items():
        asked = [(one.one, one.other) for one in comparisons]
        for found in by_domain(finding, metric, asked):
            for model in _models(finding):
                yield _on(found, asked, model, TOGETHER, lambda one, model=model: one.point.series == model)
            if rankers:
                yield _on(found, asked, "rankers of several domains", CLASSICAL, _is_ranker)
    for model in _models(finding):
        for name in _groups(finding):
            asked = transfers(finding, model, name)
            for found in by_domain(finding, finding.headline, asked, name):
                yield _on(found, asked, model, f"a model trained on {name} alone", lambda one: True)
    if finding.scope.offers.domain_by_item:
        yield Remark("domains of items")
    yield Remark("domains")


def _is_ranker(one: Measurement) -> bool:
    return one.point.model in RANKERS


def _on(found: SliceOfTest, asked: Asked, name: str, reference: str, kept: Callable[[Measurement], bool]) -> Differences:
    """What a slice says of some of its pairs, those whose first is `kept`."""
    made = tuple(
        DifferenceAt(one.point.model if _is_ranker(one) else one.point.at, pair.difference, pair.verdict)
        for (one, _), pair in zip(asked, found.pairs, strict=True)
        if kept(one)
    )
    return Differences(name, found.metric, reference, made, False, 1, f"domain {found.name}", found.users)


def _epochs(one: Measurement) -> str:
    """The best epoch of each run of the first seed, of as many as it could have had."""
    first = one.records[0].identity.seed
    runs = [record for record in one.records if record.identity.seed == first and record.cost is not None]
    return ", ".join(f"{run.cost.best_epoch} of {run.config['train']['epochs']}" for run in runs if run.cost is not None)


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    metric = finding.headline
    groups: dict[str, list[Rung]] = {}
    for name in _models(finding):
        shown_on_all = [one for one in finding.series[name] if one.point.factor != OWN and _over_domains(metric, one)]
        groups[name] = [rung(finding, one) for one in shown_on_all]
    rankers = [rung(finding, one, one.point.model) for one in finding.measurements if one.point.model in RANKERS]
    if rankers:
        groups["rankers of several domains"] = rankers
    drawn: dict[str, Figure] = {}
    if groups:
        about = f"{place(finding)}: one model for each domain or one for all, whole test, by {shown(metric)}"
        drawn["training"] = ladder(about, metric, COMPARED, groups, levels(finding, FLOOR))
    sliced = _sliced(finding)
    if sliced:
        about = f"{place(finding)}: the same on the test rows of each domain, each by itself, post hoc"
        drawn["by-domain"] = ladder(about, metric, COMPARED, sliced)
    for model in _models(finding):
        moved = _moved(finding, model)
        if moved:
            about = f"{place(finding)}: {model} by what it was trained on, on the test rows of each domain, post hoc"
            compared = ("another training set", "training on the domain alone")
            drawn[f"transfer-{model}"] = ladder(about, metric, compared, moved)
    return drawn


def _sliced(finding: StudyResult) -> dict[str, list[Rung]]:
    """Caption of a domain -> what is compared, with its difference there."""
    asked = [(one.one, one.other) for one in finding.comparisons]
    return {
        _caption(found): [
            _rung(one, found, pair.difference, pair.verdict, _named(one))
            for (one, _), pair in zip(asked, found.pairs, strict=True)
        ]
        for found in by_domain(finding, finding.headline, asked)
    }


def _named(one: Measurement) -> str:
    return one.point.model if one.point.model in RANKERS else f"{one.point.model}, {one.point.at}"


def _moved(finding: StudyResult, model: str) -> dict[str, list[Rung]]:
    """Caption of a domain -> the model trained on it, and what is compared with that one."""
    groups = {}
    for name in _groups(finding):
        asked = transfers(finding, model, name)
        for found in by_domain(finding, finding.headline, asked, name):
            reference = asked[0][1]
            groups[_caption(found)] = [
                Rung(str(reference.point.at), reference.row.family, _level(found.values[reference.row.label])),
                *(
                    _rung(one, found, pair.difference, pair.verdict, str(one.point.at))
                    for (one, _), pair in zip(asked, found.pairs, strict=True)
                ),
            ]
    return groups


def _caption(found: SliceOfTest) -> str:
    return f"domain {found.name} (n = {found.n:,})"


def _rung(one: Measurement, found: SliceOfTest, difference: Estimate, verdict: Verdict, name: str) -> Rung:
    return Rung(name, one.row.family, _level(found.values[one.row.label]), difference, verdict)


def _level(found: Estimate) -> Mark:
    return Mark("", found.value, found.low, found.high)


STUDY = Study(
    name="domains",
    title="Several domains",
    question="One model for each domain or one for all, must it know the domain, and do rankers made for several domains help?",
    axis="training",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    train={"monitor": "auc"},
    columns={"best epoch": lambda one, _: _epochs(one)},
)
