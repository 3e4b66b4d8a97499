"""A finding as files: study.json, table.md, table.csv and figures. Pure functions of records and scores."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..evaluation.cards import shown
from ..evaluation.stats import METRICS
from ..records.rounded import rounded
from ..records.store import write_text
from ..reporting.leaderboard import about_runs, about_sampling
from ..reporting.measured import Headline
from ..reporting.plots import save
from ..reporting.tables import count, interval, markdown_table, number, spread
from ..typed import finite
from .grid import Finding, Measurement, Scope, Study
from .words import about_choice, about_headline, about_intervals, about_part


@dataclass(frozen=True)
class Report:
    """A study with its answer, ready to be written or shown."""

    study: Study
    scope: Scope
    finding: Finding
    command: str
    """The canonical command that makes it, without paths of a machine."""
    statements: tuple[str, ...]
    """The answer in words, then what must be known to read it."""
    columns: dict[str, dict[str, float | str]]
    """By label of a point: the study's own columns."""

    @staticmethod
    def of(study: Study, scope: Scope, finding: Finding, command: str) -> Report:
        """The report of a finding."""
        # Two points may be one experiment.
        records = list({record.identity: record for one in finding.measurements for record in one.records}.values())
        statements = (
            *about_sampling(records[0]),
            *about_part(scope.series),
            *study.statements(finding),
            *about_headline(finding),
            *about_intervals(finding),
            *about_choice(finding),
            *about_runs([one.row for one in finding.measurements], records),
        )
        columns = {
            one.point.label: {name: value(one, finding) for name, value in study.columns.items()} for one in finding.measurements
        }
        return Report(study, scope, finding, command, statements, columns)

    @property
    def place(self) -> Path:
        """The folder of its files."""
        identity = self.finding.measurements[0].records[0].identity
        return self.finding.view.store.study_folder(identity.dataset, identity.split)


def header(report: Report) -> list[str]:
    """Names of the table's columns: the headline metric first."""
    main, other = _metrics(report)
    chosen = ["chosen by validation"] if _has_candidates(report) else []
    return [
        "series", report.study.axis, "seeds", shown(main), f"95% of {shown(main)}", shown(other), "logloss", "ECE",
        "parameters", "FLOPs", "train s", *report.study.columns, *chosen,
    ]  # fmt: skip


def cells(report: Report, one: Measurement) -> list[str]:
    """A point in the table."""
    main, other = (getattr(one.row, name) for name in _metrics(report))
    extra = report.columns[one.point.label].values()
    return [
        one.point.series,
        _place(one),
        str(len(one.row.seeds)),
        spread(main.point, main.seed_sd),
        interval(main),
        spread(other.point, other.seed_sd),
        number(one.row.logloss.point),
        number(one.row.means["ece"]),
        f"{count(one.row.parameters_embedding)} + {count(one.row.parameters_dense)}",
        count(round(one.row.flops_per_example)),
        f"{one.row.training_cost:.1f}",
        *(value if isinstance(value, str) else number(value) for value in extra),
        *([_chosen(one)] if _has_candidates(report) else []),
    ]


LEGEND = (
    "± is the standard deviation over seeds. Brackets are 95% intervals over test users and seeds, of each row alone: whether "
    "two rows differ is said by the paired differences above, which are narrower. "
    "Parameters are embedding + dense. FLOPs are of a forward pass, a training example. `train s` is CPU time of all threads on "
    "a CPU, wall time on an accelerator."
)


def to_markdown(report: Report) -> str:
    """Question, statements, table."""
    rows = [header(report), *(cells(report, one) for one in report.finding.measurements)]
    facts = report.finding.measurements[0].records[0].data
    identity = report.finding.measurements[0].records[0].identity
    parts = [
        f"# {report.study.title}: {identity.dataset} @ {identity.split}",
        report.study.question,
        f"{facts.examples['test']:,} test examples, the same for every row. Split hash {facts.split_hash[:12]}.",
        "\n".join(f"- {line}" for line in report.statements),
        "\n".join(markdown_table(rows)),
        LEGEND,
        f"Made by `{report.command}`.",
    ]
    return "\n\n".join(parts) + "\n"


def entry(report: Report, one: Measurement) -> dict[str, Any]:
    """Everything about a point as plain values."""
    row = one.row
    interval = ("point", "low", "high", "seed_sd")
    return {
        "series": one.point.series,
        "at": one.point.at,
        "model": one.point.model,
        "family": row.family,
        "settings": list(one.point.settings),
        "chosen": list(one.chosen),
        "rates": list(one.point.rates),
        "at_edge": one.at_edge,
        "config_hash": row.config_hash,
        "seeds": list(row.seeds),
        **{metric: {key: getattr(getattr(row, metric), key) for key in interval} for metric in METRICS},
        "request_gauc_seeds": list(row.request_gauc_seeds),
        "auc_seeds": list(row.auc_seeds),
        **row.means,
        "parameters_embedding": row.parameters_embedding,
        "parameters_dense": row.parameters_dense,
        "flops_per_example": row.flops_per_example,
        "train_seconds": row.train_seconds,
        "train_cpu_seconds": row.train_cpu_seconds,
        "examples_per_second": row.examples_per_second,
        "latency_ms": row.latency_ms,
        "peak_memory_mb": row.peak_memory_mb,
        "best_epochs": list(row.best_epochs),
        "columns": report.columns[one.point.label],
    }


def to_json(report: Report, figures: list[str]) -> str:
    """The whole finding.

    Args:
        figures: names of their files.
    """
    study, finding = report.study, report.finding
    identity = finding.measurements[0].records[0].identity
    content = {
        "study": study.name,
        "title": study.title,
        "question": study.question,
        "axis": study.axis,
        "dataset": identity.dataset,
        "split": identity.split,
        "size": report.scope.size,
        "models": list(report.scope.models),
        "seeds": len(finding.measurements[0].row.seeds),
        "command": report.command,
        "headline": finding.headline,
        "statements": list(report.statements),
        "figures": figures,
        "rows": [entry(report, one) for one in finding.measurements],
        "comparisons": [
            {
                "one": c.one.point.label,
                "other": c.other.point.label,
                **dataclasses.asdict(c.difference),
            }
            for c in finding.comparisons
        ],
    }
    return json.dumps(finite(rounded(content)), indent=1, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One line a point, every number as it is kept."""
    flat = [_flat(rounded(entry(report, one))) for one in report.finding.measurements]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            result |= _flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return result


def write(report: Report) -> Path:
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
        "study.json": to_json(report, [f"{name}.svg" for name in figures]),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return folder


def show(report: Report, console: Console) -> None:
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
    for line in report.statements:
        console.print(f"- {line}", highlight=False, markup=False)


def _metrics(report: Report) -> tuple[Headline, Headline]:
    return ("request_gauc", "auc") if report.finding.headline == "request_gauc" else ("auc", "request_gauc")


def _place(one: Measurement) -> str:
    return one.point.at if isinstance(one.point.at, str) else f"{one.point.at:g}"


def _chosen(one: Measurement) -> str:
    return (", ".join(one.chosen) or "defaults") + (" (at the edge)" if one.at_edge else "")


def _has_candidates(report: Report) -> bool:
    return any(len(one.point.candidates) > 1 for one in report.finding.measurements)
