"""What must be said of how runs were made: seeds, machines, load, kernels, versions, code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from ..records.schema import RunRecord
from .costs import had_room, machine
from .statements import (
    Differs,
    Loaded,
    Machines,
    ProcessCounts,
    Reachable,
    SampledTest,
    SeedCounts,
    SingleSeeds,
    Statement,
    Uncommitted,
    Unlearnt,
)

Groups = Mapping[str, Sequence[RunRecord]]
"""Label of a row -> its runs."""

What = Literal["kernel", "version", "code", "precision", "matmul"]


def about_sampling(record: RunRecord) -> Iterable[Statement]:
    """Nothing of impressions."""
    data = record.config["data"]
    if data["test_negatives"] != "exposed":
        yield SampledTest(data["test_negatives"], float(data["test_negative_rate"]), bool(data["repeats"]))


def about_runs(groups: Groups) -> Iterable[Statement]:
    """In the order in which it matters to a reader."""
    every = list({record.identity: record for group in groups.values() for record in group}.values())
    counts = {label: len({record.identity.seed for record in group}) for label, group in groups.items()}
    if len(set(counts.values())) > 1:
        yield SeedCounts(counts)
    single = tuple(label for label, count in counts.items() if count == 1)
    if single:
        yield SingleSeeds(single, len(single) == len(counts))
    unlearnt = {label: sum(_at_chance(record) for record in group) for label, group in groups.items()}
    if found := {label: count for label, count in unlearnt.items() if count}:
        yield Unlearnt(found, {label: len(groups[label]) for label in found})
    machines = sorted({machine(record) for record in every}, key=lambda one: (one.device, one.processor, one.threads))
    if len(machines) > 1:
        yield Machines(tuple(machines))
    processes = sorted({record.environment.processes for record in every})
    if len(processes) > 1:
        yield ProcessCounts(tuple(processes))
    loaded = sum(not had_room(record) for record in every)
    if loaded:
        yield Loaded(loaded, len(every))
    yield from _differences(groups, every)
    dirty = sum(bool(record.environment.git_dirty) for record in every)
    if dirty:
        yield Uncommitted(dirty)
    if every[0].data.bayes_auc is not None:
        yield Reachable(every[0].data.bayes_auc)


def _at_chance(record: RunRecord) -> bool:
    """Whether the AUC of the kept weights on validation lies within two standard errors of .5 or below it: of a score that says
    nothing of the label, which for P positives and N others is sqrt((P + N + 1) / (12 P N)) (Mann and Whitney 1947)."""
    positives = record.data.positives["valid"]
    negatives = record.data.examples["valid"] - positives
    if not record.curve or record.cost is None or not positives or not negatives:
        return False
    error = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return any(point.valid_auc < 0.5 + 2 * error for point in record.curve if point.epoch == record.cost.best_epoch)


def _differences(groups: Groups, every: Sequence[RunRecord]) -> Iterable[Statement]:
    """Whatever besides models and settings could move a number, where runs differ in it."""
    for operation in sorted({name for record in every for name in record.kernels}):
        yield from _differs(groups, "kernel", operation, lambda record, name=operation: record.kernels.get(name))
    for package in sorted({name for record in every for name in record.environment.versions}):
        yield from _differs(
            groups, "version", package, lambda record, name=package: record.environment.versions.get(name) or "not installed"
        )
    yield from _differs(groups, "version", "Python", lambda record: record.environment.python)
    yield from _differs(groups, "code", "", lambda record: record.environment.code_hash[:12])
    yield from _differs(groups, "precision", "", lambda record: record.precision)
    for name in sorted({name for record in every for name in record.matmul}):
        yield from _differs(groups, "matmul", name, lambda record, name=name: str(record.matmul.get(name)))


def _differs(groups: Groups, what: What, name: str, value: Callable[[RunRecord], str | None]) -> Iterable[Statement]:
    """What a run does not have, such as a kernel that its model does not call, is no difference."""
    found: dict[str, dict[str, None]] = {}
    for label, group in groups.items():
        for record in group:
            if (of := value(record)) is not None:
                found.setdefault(of, {})[label] = None
    if len(found) > 1:
        yield Differs(what, name, {of: tuple(labels) for of, labels in sorted(found.items())})
