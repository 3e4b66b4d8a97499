"""What data engineering changes: the same models on a log without some of its rows, on the test rows that all variants have."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from matplotlib.figure import Figure

from ...analysis.comparison import test_slices
from ...analysis.statements import Statement
from ...analysis.study_statements import CommonTest, NothingLeftOut, OwnTest, Remark
from ...atomic import write_text
from ...data.logs import open_dataset
from ...data.sources import DATASETS, name_of
from ...data.sources.schema import DataRoots
from ...data.steps.declared import Bots, KCore, Repeats, SampleUsers, ShortHistories, Step, as_entries
from ...errors import UserError
from ...reporting.figures.ladder import ladder
from ..figure_data import place, rung
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, against, retuned
from ..verdicts import by_series

NONE = "no step"
USUAL: dict[str, tuple[Step, ...]] = {
    "no repeats": (Repeats(),),
    "no bots": (Bots(),),
    "no short histories": (ShortHistories(),),
    "5-core of training": (KCore(),),
    "5-core of all rows": (KCore(rows="all"),),
    "half of the users": (SampleUsers(0.5, rows="training"),),
}
"""What is asked of a data set that declares no steps."""


def variants(scope: Scope) -> dict[str, tuple[Step, ...]]:
    """Name -> steps: none; then each that the data set declares and all of them, or the usual ones."""
    if not scope.steps:
        return {NONE: (), **USUAL}
    alone = {f"{at} {step.step}": (step,) for at, step in enumerate(scope.steps, 1)}
    return {NONE: (), **alone, **({"all steps": scope.steps} if len(scope.steps) > 1 else {})}


def _file(scope: Scope, variant: str) -> Path:
    base = re.sub(r"\W+", "-", Path(scope.dataset).stem)
    return scope.folder / "datasets" / f"{base}.{re.sub(r'[^a-z0-9]+', '-', variant.lower())}.yaml"


def prepare(scope: Scope, roots: DataRoots) -> Scope:
    """Write the YAML file of each variant that differs from the log without any step.

    Raises:
        UserError: variants would have no test in common, or a step leaves nothing to learn from.
    """
    if scope.sampled_test:
        raise UserError(
            "study steps needs a test of logged impressions of both labels: negatives that are sampled, because a log has "
            "positives alone or data.test_negatives says so, would be others in each variant"
        )
    idle = []
    source = scope.dataset if scope.dataset in DATASETS else str(Path(scope.dataset).absolute())
    for name, steps in variants(scope).items():
        path = _file(scope, name)
        own = f"{name_of(scope.dataset)}.{path.stem.partition('.')[2]}"
        write_text(path, yaml.safe_dump({"source": source, "name": own, "steps": as_entries(steps)}, sort_keys=False))
        if steps and all(effect.before == effect.after for effect in open_dataset(str(path), roots).meta.steps):
            path.unlink()
            idle.append(name)
    return dataclasses.replace(scope, idle_steps=tuple(idle))


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        for name in (name for name in variants(scope) if name not in scope.idle_steps):
            yield Point(model, name, model, (f"data.dataset={_file(scope, name)}",), retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every variant against the log as it is."""
    return against(points, lambda point: point.at == NONE)


def _own_test(one: Measurement, finding: StudyResult) -> float:
    """The headline on all test rows of its own data set, mean over seeds."""
    values = [test_slices(record)["all"][finding.headline] for record in one.records]
    known = [float(value) for value in values if value is not None]
    return statistics.fmean(known) if known else float("nan")


def statements(finding: StudyResult) -> Iterable[Statement]:
    yield from by_series(finding)
    model, group = next(iter(finding.series.items()))
    own = tuple(OwnTest(str(one.point.at), one.records[0].data.examples["test"], _own_test(one, finding)) for one in group)
    common = group[0].row.quality[finding.headline].point
    if finding.scope.idle_steps:
        yield NothingLeftOut(finding.scope.idle_steps)
    yield CommonTest(len(finding.measured.predictions.label), finding.headline, model, common, own)
    yield Remark("steps")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    groups = {series: [rung(finding, one) for one in group] for series, group in finding.series.items()}
    compared = "a model trained after a step", "the same model without"
    about = f"{place(finding)}: what steps of data engineering change, on the test rows that all variants have"
    return {"differences": ladder(about, finding.headline, compared, groups)}


STUDY = Study(
    name="steps",
    title="Steps of data engineering",
    question="What does it change to leave rows out before training, and is what looks better only another test?",
    axis="steps",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    prepare=prepare,
    several_datasets=True,
    columns={
        "rows": lambda one, finding: f"{one.records[0].data.events:,}",
        "users": lambda one, finding: f"{one.records[0].data.users:,}",
        "items": lambda one, finding: f"{one.records[0].data.items:,}",
        "base rate in training": lambda one, finding: (
            one.records[0].data.positives["train"] / one.records[0].data.examples["train"]
        ),
        "own test rows": lambda one, finding: f"{one.records[0].data.examples['test']:,}",
        "on its own test": _own_test,
    },
)
