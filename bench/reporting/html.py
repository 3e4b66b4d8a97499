"""One HTML page of everything in a results folder: no network, no other file. The same files give the same bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from ..analysis.leaderboard import Board, over_datasets
from ..analysis.statements import Disagreement, Families, MissingFamily
from ..errors import UserError
from ..evaluation import ranks
from ..evaluation.cards import shown
from ..records.schema import RunRecord
from ..records.sweeps import SweepRecord
from . import board_files, figures
from .figures import style
from .figures.ranks import critical_difference
from .results_folder import BoardFiles, Contents, StudyFiles, SweepFiles
from .study_words import sentence
from .words import sentences

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_TABLE = 60
"""Rows of a csv file that is shown whole; of a longer one, only its size is told."""


@dataclass(frozen=True)
class Figure:
    """A picture in the page: an image, in which nothing acts, whatever its file holds."""

    caption: str
    label: str
    """What it shows, for those who cannot see it."""
    source: str
    """A data URI."""
    width: float
    height: float
    """Of the drawing; their ratio keeps its place free until it is drawn."""

    @classmethod
    def of(cls, svg: str, caption: str, label: str) -> Figure:
        """Of the text of an SVG file.

        Raises:
            ElementTree.ParseError: it is not XML.
            ValueError: it does not say how large it is.
        """
        size = ElementTree.fromstring(svg).get("viewBox", "").split()
        if len(size) != 4:
            raise ValueError("it has no viewBox")
        coded = base64.b64encode(svg.encode()).decode()
        return cls(caption, label, f"data:image/svg+xml;base64,{coded}", float(size[2]), float(size[3]))


@dataclass(frozen=True)
class BoardLine:
    """A row of a leaderboard."""

    family: str
    tied: bool
    cells: tuple[board_files.TableCell, ...]


@dataclass(frozen=True)
class BoardView:
    """A board as the template needs it."""

    anchor: str
    name: str
    store: str
    board: Board
    question: str
    headline: str
    answers: tuple[str, ...]
    """Where the headlines disagree that is said first."""
    columns: tuple[str, ...]
    lines: tuple[BoardLine, ...]
    families: tuple[str, ...]
    facts: tuple[str, ...]
    statements: tuple[str, ...]
    """Further ones beside the answers."""
    slices: tuple[tuple[str, list[list[str]]], ...]
    """Name of a metric, table."""
    labels: list[list[str]]
    figures: tuple[Figure, ...]
    machines: tuple[str, ...]
    commits: tuple[str, ...]
    kernels: tuple[tuple[str, str, str], ...]
    """Operation, implementation, models."""
    commands: tuple[str, ...]


@dataclass(frozen=True)
class StudyView:
    """A study, or the sweeps of a data set."""

    anchor: str
    name: str
    store: str
    title: str
    question: str
    statements: tuple[str, ...]
    figures: tuple[Figure, ...]
    table: Markup
    sheets: tuple[tuple[str, list[list[str]]], ...]
    """Caption; header and rows."""
    commands: tuple[str, ...]


def to_html(contents: Contents, name: str) -> str:
    """The page.

    Args:
        name: of the results folder, as commands shall name it.
    """
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["key"] = _key
    templates.filters["prose"] = _prose
    script = (TEMPLATES / "report.js").read_text()
    return templates.get_template("report.html").render(
        name=name,
        boards=[_board(files, name) for files in contents.boards],
        studies=[_study(files) for files in contents.studies],
        sweeps=[_sweep(files) for files in contents.sweeps],
        ranks=_ranks(contents),
        labels=board_files.LABELS,
        intervals=board_files.INTERVALS.replace("`", ""),
        legend=board_files.LEGEND.removeprefix(board_files.INTERVALS).replace("`", "").strip(),
        style=Markup((TEMPLATES / "report.css").read_text()),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{_digest(script)}'",
    )


def _digest(script: str) -> str:
    """By which a Content-Security-Policy knows the page's own script: no other one runs."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _ranks(contents: Contents) -> tuple[str, Figure | None]:
    """What is shown over several data sets, in words and, from enough of them on, as a figure."""
    try:
        ranking = ranks.rank(over_datasets(files.board for files in contents.boards))
    except UserError as error:
        return f"No ranking over data sets: {error}.", None
    order = ", ".join(f"{model} {mean:.2f}" for model, mean in zip(ranking.models, ranking.mean_rank, strict=True))
    said = (
        f"Mean ranks over {', '.join(ranking.datasets)}: {order}. Friedman's test: chi-square {ranking.statistic:.2f}, "
        f"p = {ranking.p_value:.2g}. Two mean ranks differ at 5% if they lie {ranking.critical_difference:.2f} apart (Nemenyi)."
    )
    caption = "Mean ranks over data sets"
    return said, Figure.of(style.as_svg(critical_difference(ranking)), caption, caption)


def _key(cell: board_files.TableCell) -> str:
    """What sorts a cell, in full; nothing for a number that does not exist."""
    return cell.key if isinstance(cell.key, str) else "" if math.isnan(cell.key) else repr(float(cell.key))


ANSWERS = (Disagreement, Families, MissingFamily)
"""Kinds of statements that answer a board's question."""


def _board(files: BoardFiles, root: str) -> BoardView:
    board = files.board
    anchor = _anchor("board", files.store, files.place)
    answers = [one for one in board.statements if isinstance(one, ANSWERS)]
    lines = [board_files.cells(row, board) for row in board.rows]
    return BoardView(
        anchor=anchor,
        name=board_files.name(board),
        store=files.store,
        board=board,
        question=f"Does a generative ranker beat a classical one on {board_files.name(board)}, and at what cost?",
        headline=shown(board.headline),
        answers=tuple(sentences(answers)),
        columns=tuple(cell.column for cell in lines[0].values()),
        lines=tuple(
            BoardLine(row.family, row.quality[board.headline].among_best, tuple(cells.values()))
            for row, cells in zip(board.rows, lines, strict=True)
        ),
        families=tuple(family for family in figures.COLOURS if any(row.family == family for row in board.rows)),
        facts=tuple(board_files.facts(board)),
        statements=(
            *sentences(one for one in board.statements if not isinstance(one, ANSWERS)),
            *(f"Not on the board: {board_files.failure(one)}" for one in board.failures),
        ),
        slices=tuple((shown(metric), board_files.parts(board, metric)) for metric in board.headlines),
        labels=board_files.labels(board),
        figures=_figures(files.figures, files.place),
        machines=_counted(files.records, _machine),
        commits=_counted(files.records, _commit),
        kernels=_kernels(files.records),
        commands=(*_commands(files.records), _again(board, files.store, root)),
    )


def _study(files: StudyFiles) -> StudyView:
    record = files.record
    anchor = _anchor("study", files.store, f"{record.study}-{record.dataset}@{record.split}")
    return StudyView(
        anchor=anchor,
        name=f"{record.study} on {record.dataset} @ {record.split}",
        store=files.store,
        title=record.title,
        question=record.question,
        statements=tuple(map(sentence, record.statements)),
        figures=_figures(files.figures, record.title),
        table=_markdown_tables(files.table),
        sheets=(),
        commands=(record.command,),
    )


def _sweep(files: SweepFiles) -> StudyView:
    anchor = _anchor("sweep", files.store, files.place)
    title = f"Sweeps on {files.place}"
    found = {path.stem: _rows(path) for path in files.tables}
    return StudyView(
        anchor=anchor,
        name=files.place,
        store=files.store,
        title=title,
        question="Which settings are best by validation, and which of them matter?",
        statements=tuple(f"{name}: {len(rows) - 1:,} rows." for name, rows in found.items() if rows),
        figures=_figures(files.figures, title),
        table=Markup(""),
        sheets=(*_trials(files), *((name, rows) for name, rows in found.items() if 1 < len(rows) <= LONGEST_TABLE)),
        commands=(),
    )


def _prose(text: str) -> Markup:
    """A sentence whose names between backticks are code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _markdown_tables(text: str) -> Markup:
    """The tables of a Markdown text alone: its sentences stand in the section already."""
    parser = MarkdownIt("js-default")
    kept, inside = [], False
    for token in parser.parse(text):
        inside = inside or token.type == "table_open"
        kept += [token] * inside
        inside = inside and token.type != "table_close"
    return Markup(parser.renderer.render(kept, parser.options, {}))


def _trials(files: SweepFiles) -> Iterator[tuple[str, list[list[str]]]]:
    """How many trials each model had, and its best."""
    if files.records:
        header = ["model", "trials", "pruned", "failed", "seconds", "best on validation", "settings"]
        yield "Trials", [header, *map(_sweep_row, files.records)]


def _sweep_row(sweep: SweepRecord) -> list[str]:
    states = Counter(trial.state for trial in sweep.trials)
    best, said = sweep.best, ["-", "-"]
    if best is not None:
        said = [f"{sweep.metric} {best.value:.4f}", ", ".join(f"{key}={value}" for key, value in best.params.items())]
    counts = (len(sweep.counted), states["pruned"], states["failed"])
    return [sweep.model, *map(str, counts), f"{sweep.seconds:.0f}", *said]


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _anchor(*parts: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else "-" for letter in part) for part in parts if part)


def _figures(paths: Iterable[Path], what: str) -> tuple[Figure, ...]:
    """Known figures in their order, then others by name."""
    order = list(figures.CAPTIONS)
    ordered = sorted(paths, key=lambda path: (order.index(path.stem) if path.stem in order else len(order), path.stem))
    return tuple(_figure(path, what) for path in ordered)


def _figure(path: Path, what: str) -> Figure:
    caption = figures.CAPTIONS.get(path.stem, path.stem.replace("-", " ").capitalize())
    try:
        return Figure.of(path.read_text(encoding="utf-8"), caption, f"{what}: {caption}")
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise UserError(f"figure {path} cannot be read ({error}); make it again") from None


def _counted(records: Iterable[RunRecord], describe: Callable[[RunRecord], str]) -> tuple[str, ...]:
    counts = Counter(map(describe, records))
    return tuple(f"{text} ({count} runs)" for text, count in sorted(counts.items()))


def _machine(record: RunRecord) -> str:
    where = record.environment
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items() if version)
    processes = f", {where.processes} processes" if where.processes > 1 else ""
    matmul = "".join(f", {name} {value}" for name, value in record.matmul.items())
    return (
        f"{record.device}: {where.accelerator or where.cpu}, {where.cores} cores, {where.threads} threads{processes}, "
        f"{where.memory_gb:g} GiB, {where.platform}, {record.precision}{matmul}; Python {where.python}, {versions}"
    )


def _commit(record: RunRecord) -> str:
    changed = ", with uncommitted changes" if record.environment.git_dirty else ""
    return f"{record.environment.git_commit or 'an installed package'}{changed}"


def _kernels(records: Iterable[RunRecord]) -> tuple[tuple[str, str, str], ...]:
    users: dict[tuple[str, str], set[str]] = {}
    for record in records:
        for kernel in record.kernels.items():
            users.setdefault(kernel, set()).add(record.identity.model)
    return tuple((*kernel, ", ".join(sorted(models))) for kernel, models in sorted(users.items()))


def _commands(records: Iterable[RunRecord]) -> tuple[str, ...]:
    """The commands of the runs, each once; paths were cut to their last part when the record was made."""
    lines = {shlex.join(("rankbench", *record.environment.command[1:])) for record in records if record.environment.command}
    return tuple(sorted(lines))


def _again(board: Board, store: str, root: str) -> str:
    folder = f"{root}/{store}" if store else root
    return f"rankbench board --results {shlex.quote(folder)} --dataset {board.dataset} --split {board.split}"
