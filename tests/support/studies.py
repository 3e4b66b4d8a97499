"""Findings of studies whose runs are made up: everything behind the training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from rankbench.bench import registry
from rankbench.bench.analysis.study_statements import SemanticIds
from rankbench.bench.config import Settings
from rankbench.bench.data.semantic_ids.codes import CodeFacts
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.studies import grid, output
from rankbench.bench.studies.grid import Study, StudyResult
from rankbench.bench.studies.offers import FromData, OfferedDomains, OfferedLabel, Offers
from rankbench.bench.studies.points import Scope, Size, cells
from support.records import predictions, record

OFFERS = Offers(
    labels=(OfferedLabel("liked", 0.1, 0.1), OfferedLabel("shared", 0.02, 0.0), OfferedLabel("reported", 0.0001, 0.0001)),
    domains=(OfferedDomains(("home",), 0.6), OfferedDomains(("search",), 0.3), OfferedDomains(("cart", "profile"), 0.1)),
    features=("item", "user"),
)
"""Of a log that every study can ask about."""


def scope(models: tuple[str, ...], size: Size = "small", positive_only: bool = False, series: tuple[str, ...] = ()) -> Scope:
    """About that log."""
    return Scope(models, size, positive_only, series, train_shares=(0.8, 0.7), offers=OFFERS)


def domains(example: np.ndarray) -> np.ndarray:
    """Of its test rows."""
    return np.array(["home", "home", "search", "cart", "profile"], dtype=object)[example % 5]


def from_data(study: Study, rows: int) -> FromData:
    """What a study would read of that log's data."""
    if study.from_data is None:
        return FromData()
    number = np.arange(rows)
    facts = CodeFacts("features", "k-means", 3, 64, 40, 40, 30, 15, 4, 10, 10, 6)
    return FromData({"user_before": number % 120, "held_out": number % 3 > 0}, (SemanticIds(facts),))


def made_up(study: Study, scope: Scope, folder: Path, seeds: int = 2, users: int = 30) -> StudyResult:
    """A finding in which later points of a series are better, with the hashes that real runs would have."""
    store, points = Store(folder), study.grid(scope)
    groups, chosen, runs = {}, {}, {}
    for at, point in enumerate(points):
        chosen[point.label] = point.candidates[0]
        groups[point.label] = []
        for cell in cells(point, point.candidates[0], Settings(), seeds):
            key = cell.experiment.hash, cell.seed
            if key not in runs:  # two series may share an experiment
                frame = predictions(0.5 + 0.02 * (at % 7) + 0.05 * (at // 7 % 3), cell.seed, users=users)
                made = record(point.model, frame, seed=cell.seed, family=registry.MODELS[point.model].family)
                runs[key] = dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash=key[0]))
                store.write(runs[key], frame)
            groups[point.label].append(runs[key])
    view = View(store, tuple(runs.values()))
    rows = len(view.predictions(view.records[0].identity))
    return grid.read(study, points, chosen, groups, view, domains=domains, from_data=from_data(study, rows))


def report(study: Study, scope: Scope, folder: Path, **options: int) -> output.StudyReport:
    """Its report."""
    return output.StudyReport.of(study, scope, made_up(study, scope, folder, **options), f"rankbench study {study.name}")
