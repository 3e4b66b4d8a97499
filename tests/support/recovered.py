"""Studies of simulated scenarios, run as whole commands, and what they say of what was planted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rankbench.bench import cli
from rankbench.bench.analysis import study as study_file
from rankbench.bench.analysis.parts import part
from rankbench.bench.analysis.statements import of_kind
from rankbench.bench.analysis.study import StudyRecord
from rankbench.bench.analysis.study_statements import Differences
from rankbench.bench.config import Settings
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.records.store import Store
from rankbench.bench.runs.schedule import Options
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import PointPair, Study, StudyResult
from rankbench.bench.studies.points import Point, Scope


def small(model: str, epochs: int = 8) -> tuple[str, ...]:
    """Settings of a generative ranker that learns from a few thousand examples within seconds: one layer, and one token an event,
    so that a layer knows which item an action was on."""
    of_model = ("layers=1", "layout=candidate", "width=32", "dropout=0")
    training = ("lr=0.01", "batch_events=512", f"epochs={epochs}", f"patience={epochs}")
    return (*(f"{model}.{one}" for one in of_model), *(f"train.{one}" for one in training))


POINTWISE = ("train.lr=0.01", "train.batch_size=256", "train.epochs=4")
"""Training of classical rankers on some thousands of examples."""


def answered(
    study: str,
    log: Mapping[str, float],
    series: Sequence[str],
    models: str,
    settings: Sequence[str] = POINTWISE,
    history: int | None = 4,
    seeds: int = 3,
) -> StudyRecord:
    """The study of the scenario of its name, drawn with the settings `log`, for the series that fit.

    Args:
        history: length of all histories; None where the study varies it.
    """
    lines = [f"source: simulator-{study}", *(f"{key}: {value}" for key, value in log.items())]
    Path("planted.yaml").write_text("\n".join(lines) + "\n")
    words = ["--dataset", "planted.yaml", "--models", models, "--seeds", str(seeds), "--device", "cpu", "--jobs", "1", "--quiet"]
    words += [word for one in series for word in ("--series", one)]
    for setting in (*(() if history is None else (f"data.history_length={history}",)), *settings):
        words += ["--set", setting]
    assert cli.main(["study", study, *words, "--results", "out"]) == 0
    return study_file.load(Path(f"out/studies/{study}/planted@global-time/study.json"))


def verdicts(found: StudyRecord, series: str, part: str = "", reference: str = "") -> dict[str, str]:
    """Place -> word, by the headline, of the statement about a series, a slice and a reference."""
    said = [
        one
        for one in of_kind(found.statements, Differences)
        if (one.series, one.part, one.metric) == (series, part, found.headline) and reference in ("", one.reference)
    ]
    return {str(item.at): item.verdict for one in said for item in one.differences}


def value(found: StudyRecord, label: str) -> float:
    """The headline metric of a point."""
    return next(point.row.quality[found.headline].point for point in found.points if point.row.label == label)


def points_of(
    study: Study,
    places: Sequence[str | float],
    source: str,
    log: Mapping[str, float],
    models: Sequence[str],
    settings: Sequence[str],
) -> StudyResult:
    """Some points of a study, two seeds each, in the working folder: what says nothing of the effect in question is not trained.

    Args:
        places: of the points that are kept, `at` or whole labels.
    """

    def kept(scope: Scope) -> Iterable[Point]:
        return (point for point in study.points(scope) if point.at in places or point.label in places)

    file = Path("planted.yaml")
    file.write_text("\n".join([f"source: {source}", *(f"{key}: {value}" for key, value in log.items())]) + "\n")
    asked = Settings(data={"dataset": str(file)}).changed(list(settings), tuple(models))
    options = Options(Store(Path("results")), DataRoots(None, Path("cache")), quiet=True, jobs=1)
    return grid.run(dataclasses.replace(study, points=kept), Scope(tuple(models)), asked, 2, options)


def against(finding: StudyResult, one: str, other: str) -> PointPair:
    """The point of one label against that of another, by the headline."""
    found = {measured.point.label: measured for measured in finding.measurements}
    return finding.compare(finding.headline, [(found[one], found[other])])[0]


def in_domain(finding: StudyResult, domain: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Label of the first -> the verdict of each pair on the test rows of one domain, by AUC, which needs fewer of them."""
    assert finding.domains is not None, "the log declares domains"
    found = part(finding.measured, "auc", domain, finding.domains == domain, pairs)
    return {one: pair.verdict for (one, _), pair in zip(pairs, found.pairs, strict=True)}
