"""What a data set has that a study can ask about (labels, domains, features), and what a study reads of its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..analysis.statements import Statement
from ..data.columns import blocks
from ..data.eventlog import EventLog

LARGE = 0.02
"""Share of the examples from which a domain is one of the large ones, and has a model of its own where each has."""
MOST = 5
"""Large domains at the most; the others are asked about together."""


@dataclass(frozen=True)
class OfferedLabel:
    """A further label of a log."""

    name: str
    of_events: float
    """Share of positives among all events, which histories may hold."""
    of_examples: float
    """The same among those that are asked for."""


@dataclass(frozen=True)
class OfferedDomains:
    """A large domain, or all small ones together."""

    values: tuple[str, ...]
    of_examples: float
    """Share of the examples that are asked for."""


@dataclass(frozen=True)
class Offers:
    """Of one log."""

    labels: tuple[OfferedLabel, ...] = ()
    """The most frequent first."""
    domains: tuple[OfferedDomains, ...] = ()
    """Of the declared domain, the largest first: each large one alone, all small ones together as the last."""
    domain_by_item: bool = False
    """Every item is of one domain alone, which its id then tells."""
    label_tells_apart: bool = True
    """The main label is not the same for all events that histories may hold."""
    features: tuple[str, ...] = ()
    """`user` and `item`, whichever has features besides its id."""


@dataclass(frozen=True)
class FromData:
    """What a study reads of the data themselves, beside records and scores."""

    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    """More columns of the test rows, to make slices by."""
    statements: tuple[Statement, ...] = ()


def offers_of(log: EventLog) -> Offers:
    """What this log offers."""
    labels = [OfferedLabel(name, *log.further_shares(name)) for name in log.meta.labels]
    owners = {owner for owner, _ in log.meta.features}
    return Offers(
        labels=tuple(sorted(labels, key=lambda one: -one.of_events)),
        domains=_domains(log),
        label_tells_apart=len({int(one) for block in blocks(log.meta.events) for one in np.unique(log.label[block])}) > 1,
        domain_by_item=log.meta.domain is not None and _one_domain_an_item(log, _domain_code(log)),
        features=tuple(owner for owner in ("item", "user") if owner in owners),
    )


def _domain_code(log: EventLog) -> np.ndarray:
    assert log.meta.domain is not None, "asked of logs that declare a domain"
    code = log.feature(log.meta.domain.column)
    assert isinstance(code, np.ndarray), "a domain is a category"
    return code


def _one_domain_an_item(log: EventLog, code: np.ndarray) -> bool:
    seen = np.full(log.meta.items, -1, dtype=np.int64)
    for block in blocks(log.meta.events):
        item, domain = log.item[block], code[block]
        new = seen[item] < 0
        seen[item[new]] = domain[new]
        if (seen[item] != domain).any():
            return False
    return True


def _domains(log: EventLog) -> tuple[OfferedDomains, ...]:
    if log.meta.domain is None:
        return ()
    code = _domain_code(log)
    names = [str(name) for name in log.dictionary(f"feature.{log.meta.domain.column}")]
    count = np.zeros(len(names), dtype=np.int64)
    for block in blocks(log.meta.events):
        count += np.bincount(code[block][slice(None) if log.asked is None else log.asked[block]], minlength=len(names))
    order = [int(at) for at in np.argsort(-count, kind="stable") if count[at]]
    large = [at for at in order if count[at] >= LARGE * count.sum()][:MOST]
    small = [at for at in order if at not in large]
    groups = [*([at] for at in large), *([small] if small else [])]
    return tuple(OfferedDomains(tuple(names[at] for at in some), float(count[some].sum() / count.sum())) for some in groups)


DomainOf = Callable[[np.ndarray], np.ndarray]
"""Examples, int64 [n] of Examples.ids -> the domain of each, str [n]."""


def domain_of(log: EventLog) -> DomainOf | None:
    """What the log says of its examples; None where it declares no domain."""
    if log.meta.domain is None:
        return None
    code = _domain_code(log)
    names = np.array([str(name) for name in log.dictionary(f"feature.{log.meta.domain.column}")], dtype=object)
    return lambda example: names[code[example % log.meta.events]]
