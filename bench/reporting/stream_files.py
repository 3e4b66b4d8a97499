"""A pass through time as files: stream.json, table.md, table.csv and a figure; and in the terminal."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..analysis.stream import StreamBoard, StreamRow
from ..analysis.stream_statements import ToTarget, Work
from ..atomic import write_text
from ..errors import UserError
from ..evaluation.cards import shown
from ..evaluation.stats import Estimate
from ..typed import as_json, finite, read, text_of
from .board_files import LOADED, as_csv, flat, markdown_table, number
from .figures.stream import to_target
from .figures.style import save
from .stream_words import samples, sentence
from .study_words import short

SHOWN_WINDOWS = 40
"""Lines of a curve in table.md, about; table.csv has all."""

LEGEND = (
    "AUC and request GAUC are of a window before anything was learned from it; samples, seconds and FLOPs are what was learned "
    "from by then. Brackets are 95% intervals of the mean over seeds (Student's t): training noise alone, of this log. Seconds "
    f"are CPU time on a CPU, wall time elsewhere; {LOADED} marks runs that began on a machine with more work than cores, whose "
    "times may be compared with nothing. FLOPs are three times those of a forward pass, by the mean over training batches of all "
    "windows, so that early windows, whose histories are short, are counted too high; a model without products of matrices has "
    "none."
)


def summary(board: StreamBoard) -> list[list[str]]:
    """A header and a line for each row."""
    told = {one.row: one for one in board.statements if isinstance(one, ToTarget)}
    reach = f"to AUC {board.target:g}"
    header = ["model", "family", "seeds", f"mean {shown('auc')}", f"last {shown('auc')}", f"mean {shown('request_gauc')}"]
    lines = [[*header, f"samples {reach}", f"seconds {reach}", f"FLOPs {reach}"]]
    for row in board.rows:
        means = [_mean(row.auc), _level(row.auc[-1]), _mean(row.request_gauc)]
        lines.append([row.label, row.family, str(len(row.seeds)), *means, *_work(row, told[row.label])])
    return lines


def _mean(found: tuple[Estimate, ...]) -> str:
    known = [one.value for one in found if not math.isnan(one.value)]
    return number(sum(known) / len(known)) if known else "-"


def _level(found: Estimate) -> str:
    return number(found.value) + ("" if math.isnan(found.low) else f" [{found.low:.4f}, {found.high:.4f}]")


def _work(row: StreamRow, told: ToTarget) -> list[str]:
    if told.work is None:
        return ["not reached", "-", "-"]
    some = "" if told.reached == told.seeds else f" ({told.reached} of {told.seeds} seeds)"
    return [f"{samples(told, told.work)}{some}", *_cost(told.work, row)]


def _cost(work: Work, row: StreamRow) -> list[str]:
    loaded = "" if row.comparable else f" {LOADED}"
    return [f"{work.seconds:.1f}{loaded}", short(work.flops) if work.flops else "-"]


def curve(board: StreamBoard, row: StreamRow) -> list[list[str]]:
    """A header and a line for each window, or for every few of many; the last one is always there."""
    step = max(1, -(-len(board.windows) // SHOWN_WINDOWS))
    kept = sorted({*range(0, len(board.windows), step), len(board.windows) - 1})
    header = ["window", "begins", "scored", "samples so far", "seconds", "FLOPs", shown("auc"), shown("request_gauc")]
    lines = [header]
    for at in kept:
        window, work = board.windows[at], row.work[at]
        levels = [_level(row.auc[at]), _level(row.request_gauc[at])]
        counts = [str(window.number), window.begin, f"{window.scored:,}", f"{work.samples:,.0f}"]
        lines.append([*counts, *_cost(work, row), *levels])
    return lines


def to_markdown(board: StreamBoard) -> str:
    """What it says, the summary, the curves."""
    parts = [
        f"# Once through time: {board.place}",
        f"What it takes to reach AUC {board.target:g} on the next window ({board.target_why}), by protocol {board.protocol}.",
        "\n".join(f"- {sentence(one)}" for one in board.statements),
        "\n".join(markdown_table(summary(board))),
        LEGEND,
        *(part for row in board.rows for part in (f"## {row.label}", "\n".join(markdown_table(curve(board, row))))),
        f"Made again by `rankbench board --protocol {board.protocol} --dataset {board.dataset}`.",
    ]
    return "\n\n".join(parts) + "\n"


def to_csv(board: StreamBoard) -> str:
    """A line for each window of each run, every number in full."""
    lines = []
    for row in board.rows:
        for one in row.seeds:
            for at, window in enumerate(board.windows):
                facts = {"row": row.label, "family": row.family, "seed": one.seed, **dataclasses.asdict(window)}
                found = {**dataclasses.asdict(one.work[at]), "auc": one.auc[at], "request_gauc": one.request_gauc[at]}
                lines.append(flat(finite({**facts, **found})))
    return as_csv(lines)


def load(path: Path) -> StreamBoard:
    """Raises UserError: the file cannot be read, or is no whole stream.json of this program."""

    def broken(what: str) -> UserError:
        return UserError(f"{path} {what}; make it again with rankbench board")

    return read(StreamBoard, text_of(path, broken), broken)


def write(board: StreamBoard, folder: Path) -> None:
    """All files."""
    folder.mkdir(parents=True, exist_ok=True)
    save(to_target(board), folder / "to_target")
    for name, text in {"stream.json": as_json(board), "table.md": to_markdown(board), "table.csv": to_csv(board)}.items():
        write_text(folder / name, text)


def show(board: StreamBoard, console: Console) -> None:
    """Summary and statements in a terminal."""
    lines = summary(board)
    title = f"once through time: {board.place}"
    table = Table(title=title, title_style="bold", header_style="bold", box=None, pad_edge=False)
    for at, column in enumerate(lines[0]):
        table.add_column(column, no_wrap=True, justify="left" if at < 2 else "right")
    for texts in lines[1:]:
        table.add_row(*texts)
    console.print(table)
    for one in board.statements:
        console.print(f"- {sentence(one)}", highlight=False, markup=False)
