"""One HTML page of everything in a results folder, without a network. The same files give the same bytes.

Figures stay the files that they are in the results folder, and the page names them by their place beside it: so the page stays
small however many there are, a browser loads each when it is scrolled to, and no copy can be older than its board. What is given
away is the page without its folder, which then shows words, tables and its first picture alone.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import math
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
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
from . import board_files, figures, summary
from .figures import style
from .figures.answers import answers
from .figures.ranks import critical_difference
from .picture import Figure
from .results_folder import BoardFiles, Contents, StudyFiles, SweepFiles
from .study_words import sentence
from .words import sentences

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_TABLE = 60
"""Rows of a csv file that is shown whole; of a longer one, only its size is told."""


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


def to_html(contents: Contents, name: str, folder: Path) -> str:
    """The page.

    Args:
        name: of the results folder, as commands shall name it.
        folder: where the page will lie; figures are named from there.
    """
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["key"] = _key
    templates.filters["prose"] = _prose
    script = (TEMPLATES / "report.js").read_text()
    return templates.get_template("report.html").render(
        name=name,
        first=_answers(contents),
        summary=[(summary.caption(metric), _summary(contents, rows)) for metric, rows in summary.tables(contents.boards).items()],
        summary_header=summary.HEADER,
        summary_legend=summary.LEGEND,
        boards=[_board(files, name, folder) for files in contents.boards],
        studies=[_study(files, folder) for files in contents.studies],
        sweeps=[_sweep(files, folder) for files in contents.sweeps],
        ranks=_ranks(contents),
        labels=board_files.LABELS,
        intervals=board_files.INTERVALS.replace("`", ""),
        legend=board_files.legend(files.board for files in contents.boards)
        .removeprefix(board_files.INTERVALS)
        .replace("`", "")
        .strip(),
        style=Markup((TEMPLATES / "report.css").read_text()),
        script=Markup(script),
        policy=f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; script-src '{_digest(script)}'",
    )


def _digest(script: str) -> str:
    """By which a Content-Security-Policy knows the page's own script: no other one runs."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _answers(contents: Contents) -> Figure | None:
    """The picture with which the page begins; None where no board answers."""
    drawn = answers([(files.name, files.board) for files in contents.boards])
    if drawn is None:
        return None
    caption = "A row a board, in the order of the weight of their evidence. An interval that includes zero settles nothing."
    return Figure.of(style.as_svg(drawn), caption, " ".join(drawn.get_suptitle().split()))


def _summary(contents: Contents, rows: list[list[str]]) -> list[tuple[str, list[str]]]:
    """Lines of a table of the summary, each with the place of its board in the page."""
    return [(_board_anchor(files), line) for files, line in zip(contents.boards, rows[1:], strict=True)]


def _board_anchor(files: BoardFiles) -> str:
    return _anchor("board", files.store, files.place)


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


def _board(files: BoardFiles, root: str, folder: Path) -> BoardView:
    board = files.board
    said = [one for one in board.statements if isinstance(one, ANSWERS)]
    lines = [board_files.cells(row, board) for row in board.rows]
    return BoardView(
        anchor=_board_anchor(files),
        name=board_files.name(board),
        store=files.store,
        board=board,
        question=f"Does a generative ranker beat a classical one on {board_files.name(board)}, and at what cost?",
        headline=shown(board.headline),
        answers=tuple(sentences(said)),
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
        figures=_figures(files.figures, files.name, folder),
        machines=_counted(files.records, _machine),
        commits=_counted(files.records, _commit),
        kernels=_kernels(files.records),
        commands=(*_commands(files.records), _again(board, files.store, root)),
    )


def _study(files: StudyFiles, folder: Path) -> StudyView:
    record = files.record
    anchor = _anchor("study", files.store, f"{record.study}-{record.dataset}@{record.split}")
    return StudyView(
        anchor=anchor,
        name=f"{record.study} on {record.dataset} @ {record.split}",
        store=files.store,
        title=record.title,
        question=record.question,
        statements=tuple(map(sentence, record.statements)),
        figures=_figures(files.figures, record.title, folder),
        table=_markdown_tables(files.table),
        sheets=(),
        commands=(record.command,),
    )


def _sweep(files: SweepFiles, folder: Path) -> StudyView:
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
        figures=_figures(files.figures, title, folder),
        table=Markup(""),
        sheets=(*_trials(files), *((name, rows) for name, rows in found.items() if 1 < len(rows) <= LONGEST_TABLE)),
        commands=(),
    )


def _prose(text: str) -> Markup:
    """A sentence whose names between backticks are code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _markdown_tables(text: str) -> Markup:
    """The tables of a Markdown text alone: its sentences stand in the section already. Nothing in them leads elsewhere."""
    parser = MarkdownIt("js-default").disable(["image", "link", "autolink"])
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


def _figures(paths: Iterable[Path], what: str, folder: Path) -> tuple[Figure, ...]:
    """Known figures in their order, then others by name."""
    order = list(figures.CAPTIONS)
    ordered = sorted(paths, key=lambda path: (order.index(path.stem) if path.stem in order else len(order), path.stem))
    return tuple(_figure(path, what, folder) for path in ordered)


def _figure(path: Path, what: str, folder: Path) -> Figure:
    caption = figures.CAPTIONS.get(path.stem, path.stem.replace("-", " ").capitalize())
    try:
        place = Path(os.path.relpath(path, folder)).as_posix()
        return Figure.of(path.read_text(encoding="utf-8"), caption, f"{what}: {caption}", quote(place))
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
