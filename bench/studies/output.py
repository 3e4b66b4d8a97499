"""A finding as files: study.json, table.md, table.csv and figures. Pure functions of records and scores."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..analysis.run_facts import about_runs, about_sampling
from ..analysis.statements import Statement
from ..analysis.study import Compared, PointOf, StudyRecord, to_json
from ..atomic import write_text
from ..evaluation.cards import shown
from ..records.rounded import rounded
from ..reporting.board_files import LOADED, as_csv, count, flat, interval, markdown_table, number, other_headline, spread
from ..reporting.figures import save
from ..reporting.study_words import place
from ..reporting.words import sentences
from ..typed import finite
from .grid import Measurement, Study, StudyResult
from .points import Scope
from .verdicts import about_part, about_reading


@dataclass(frozen=True)
class StudyReport:
    """A study with its answer, ready to be written or shown."""

    study: Study
    scope: Scope
    finding: StudyResult
    command: str
    """The canonical command that makes it, without paths of a machine."""
    statements: tuple[Statement, ...]
    """The answer, then what must be known to read it."""
    columns: dict[str, dict[str, float | str]]
    """By label of a point: the study's own columns."""

    @staticmethod
    def of(study: Study, scope: Scope, finding: StudyResult, command: str) -> StudyReport:
        """The report of a finding."""
        statements = (
            *about_sampling(finding.measurements[0].records[0]),
            *about_part(scope.series),
            *study.statements(finding),
            *about_reading(finding),
            *about_runs({one.point.label: one.records for one in finding.measurements}),
        )
        columns = {
            one.point.label: {name: value(one, finding) for name, value in study.columns.items()} for one in finding.measurements
        }
        return StudyReport(study, scope, finding, command, statements, columns)

    @property
    def place(self) -> Path:
        """The folder of its files."""
        identity = self.finding.measurements[0].records[0].identity
        return self.finding.view.store.study_folder(identity.dataset, identity.split)


def header(report: StudyReport) -> list[str]:
    """Names of the table's columns: the headline metric first."""
    main = report.finding.headline
    chosen = ["chosen by validation"] if _has_candidates(report) else []
    return [
        "series", report.study.axis, "seeds", shown(main), f"95% of {shown(main)}", shown(other_headline(main)), "logloss", "ECE",
        "parameters", "FLOPs", "train s", *report.study.columns, *chosen,
    ]  # fmt: skip


def cells(report: StudyReport, one: Measurement) -> list[str]:
    """A point in the table."""
    headline = report.finding.headline
    main, other = (one.row.quality[metric] for metric in (headline, other_headline(headline)))
    extra = report.columns[one.point.label].values()
    return [
        one.point.series,
        place(one.point.at),
        str(len(one.row.seeds)),
        spread(main.point, main.seed_sd),
        interval(main),
        spread(other.point, other.seed_sd),
        number(one.row.quality["logloss"].point),
        number(one.row.means["ece"]),
        f"{count(one.row.parameters_embedding)} + {count(one.row.parameters_dense)}",
        count(round(one.row.flops_per_example)),
        f"{one.row.train_seconds:.1f}" + ("" if one.row.comparable else f" {LOADED}"),
        *(value if isinstance(value, str) else number(value) for value in extra),
        *([_chosen(one)] if _has_candidates(report) else []),
    ]


LEGEND = (
    "± is the standard deviation over seeds. Brackets are 95% intervals over test users and seeds together, of each row alone: "
    "whether two rows differ is said by the paired differences above, which are narrower. Parameters are embedding + dense. "
    "FLOPs are of a forward pass, per training example. `train s` is CPU time of all threads on a CPU, wall time on an "
    f"accelerator; {LOADED} marks runs that began on a machine with more work than cores, whose times may be compared "
    "with nothing."
)


def to_markdown(report: StudyReport) -> str:
    """Question, statements, table."""
    rows = [header(report), *(cells(report, one) for one in report.finding.measurements)]
    facts = report.finding.measurements[0].records[0].data
    identity = report.finding.measurements[0].records[0].identity
    parts = [
        f"# {report.study.title}: {identity.dataset} @ {identity.split}",
        report.study.question,
        f"{len(report.finding.measured.predictions.label):,} test examples, the same for every row. Split hash "
        f"{facts.split_hash[:12]}.",
        "\n".join(f"- {line}" for line in sentences(report.statements)),
        "\n".join(markdown_table(rows)),
        LEGEND,
        f"Made by `{report.command}`.",
    ]
    return "\n\n".join(parts) + "\n"


def to_record(report: StudyReport, figures: tuple[str, ...]) -> StudyRecord:
    """The whole finding.

    Args:
        figures: names of their files.
    """
    study, finding = report.study, report.finding
    identity = finding.measurements[0].records[0].identity
    return StudyRecord(
        study=study.name,
        title=study.title,
        question=study.question,
        axis=study.axis,
        dataset=identity.dataset,
        split=identity.split,
        size=report.scope.size,
        models=report.scope.models,
        seeds=len(finding.measurements[0].row.seeds),
        command=report.command,
        headline=finding.headline,
        margin=finding.measured.margin,
        statements=report.statements,
        figures=figures,
        points=tuple(_point(report, one) for one in finding.measurements),
        comparisons=tuple(
            Compared(one.one.point.label, one.other.point.label, metric, one.difference, one.verdict, one.at_once)
            for metric, comparisons in finding.pairs.items()
            for one in comparisons
        ),
    )


def _point(report: StudyReport, one: Measurement) -> PointOf:
    columns: dict[str, str | int | float | None] = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in report.columns[one.point.label].items()
    }
    point = one.point
    return PointOf(point.series, point.at, point.factor, point.settings, one.chosen, point.rates, one.at_edge, one.row, columns)


def to_csv(report: StudyReport) -> str:
    """One line a point, every number in full."""
    return as_csv([flat(finite(_plain(rounded(_point(report, one))))) for one in report.finding.measurements])


def _plain(point: PointOf) -> dict[str, Any]:
    values = dataclasses.asdict(point)
    return {name: value for name, value in values.items() if name != "row"} | values["row"]


def write(report: StudyReport) -> Path:
    """All files; those of an earlier size of the study that no longer belong go. The folder is returned."""
    folder = report.place
    folder.mkdir(parents=True, exist_ok=True)
    figures = report.study.figures(report.finding)
    written = [path for name, figure in figures.items() for path in save(figure, folder / name)]
    for path in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if path not in written:
            path.unlink()
    texts = {
        "table.md": to_markdown(report),
        "table.csv": to_csv(report),
        "study.json": to_json(to_record(report, tuple(f"{name}.svg" for name in figures))),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return folder


def show(report: StudyReport, console: Console) -> None:
    """Short table and statements in a terminal."""
    names = header(report)
    kept = [at for at, name in enumerate(names) if at < 5 or name in ("logloss", "train s", *report.study.columns)]
    title = f"{report.study.title}: {report.place.name}"
    table = Table(title=title, title_style="bold", header_style="bold", box=None, pad_edge=False)
    for at in kept:
        table.add_column(names[at], no_wrap=True, justify="left" if at < 2 else "right")
    for one in report.finding.measurements:
        values = cells(report, one)
        table.add_row(*(values[at] for at in kept))
    console.print(table)
    for line in sentences(report.statements):
        console.print(f"- {line}", highlight=False, markup=False)


def _chosen(one: Measurement) -> str:
    if one.point.rates_of:
        return f"as {', '.join(one.point.rates_of)}"
    return (", ".join(one.chosen) or "defaults") + (" (at the edge)" if one.at_edge else "")


def _has_candidates(report: StudyReport) -> bool:
    return any(len(one.point.candidates) > 1 for one in report.finding.measurements)
