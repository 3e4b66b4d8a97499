"""A board as Markdown, CSV, JSON (and back from it), and in the terminal."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ..errors import UserError
from ..evaluation.cards import shown
from ..evaluation.stats import Estimate, ModelInterval
from ..records.rounded import rounded
from ..records.store import write_text
from ..typed import as_json, finite, read
from .leaderboard import Board
from .measured import Headline, Row, Slice


class Cell(NamedTuple):
    """Of the main table."""

    text: str
    key: float | str
    """What sorts its column."""


def columns(headline: Headline) -> tuple[str, ...]:
    """Of the main table: the headline metric and the differences in it first."""
    main, other = (shown(metric) for metric in _both(headline))
    return (
        "model", "family", "seeds", main, f"95% of {main}", "to the best", other, f"95% of {other}", "logloss", "NE", "ECE",
        "NDCG@10 by request", "parameters", "FLOPs", "train s", "examples/s", "ms / 100 candidates", "MB",
    )  # fmt: skip


BRIEF = (0, 1, 3, 5, 6, 8, 14, 16)
"""Columns that a README has room for."""

NARROW = (0, 3, 5, 6, 8, 14)
"""Columns that a narrow terminal has room for."""


def _both(headline: Headline) -> tuple[Headline, Headline]:
    """The headline metric, and the other one."""
    return (headline, "auc" if headline == "request_gauc" else "request_gauc")


def spread(mean: float, sd: float | None) -> str:
    """A mean with its standard deviation over seeds, if there is one."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.4f}" if sd is None else f"{mean:.4f} ± {sd:.4f}"


def number(value: float | None, digits: int = 4) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def count(value: int) -> str:
    """A count with k or M."""
    return f"{value / 1e6:.1f}M" if value >= 1e6 else f"{value / 1e3:.0f}k" if value >= 1e3 else str(value)


def interval(found: ModelInterval) -> str:
    """Ends of an interval, or a dash where there is none."""
    return "-" if math.isnan(found.low) else f"[{found.low:.4f}, {found.high:.4f}]"


def cells(row: Row, best: bool, headline: Headline) -> tuple[Cell, ...]:
    """A row of the main table, in the order of its columns."""
    main, other = (getattr(row, metric) for metric in _both(headline))
    to_best = "best" if best else f"{main.difference:+.4f} [{main.difference_low:+.4f}, {main.difference_high:+.4f}]"
    further = ((row.means[name], number(row.means[name])) for name in ("ne", "ece", "request_ndcg@10"))
    return (
        Cell(row.label + (" =" if row.tied and not best else ""), row.label),
        Cell(row.family, row.family),
        Cell(str(len(row.seeds)), len(row.seeds)),
        Cell(spread(main.point, main.seed_sd), main.point),
        Cell(interval(main), main.low),
        Cell(to_best, main.difference),
        Cell(spread(other.point, other.seed_sd), other.point),
        Cell(interval(other), other.low),
        Cell(number(row.logloss.point), row.logloss.point),
        *(Cell(text, math.nan if value is None else value) for value, text in further),
        Cell(
            f"{count(row.parameters_embedding)} + {count(row.parameters_dense)}",
            row.parameters_embedding + row.parameters_dense,
        ),
        Cell(count(round(row.flops_per_example)), row.flops_per_example),
        Cell(f"{row.training_cost:.1f}", row.training_cost),
        Cell(f"{row.examples_per_second:,.0f}", row.examples_per_second),
        Cell(f"{row.latency_ms:.1f}", row.latency_ms),
        Cell(f"{row.peak_memory_mb:.0f}", row.peak_memory_mb),
    )


def facts(board: Board) -> list[str]:
    """What every model saw and was asked, in three sentences."""
    facts = board.facts
    return [
        f"{facts.examples['test']:,} test examples, {board.request_groups:,} requests in request GAUC "
        f"({board.request_groups_dropped:,} with a single label value left out); {facts.examples['train']:,} training and "
        f"{facts.examples['valid']:,} validation "
        "examples.",
        f"{facts.test_rows_warm_user:.1%} of the test examples belong to users with training events, "
        f"{facts.test_rows_warm_item:.1%} to items with training events. {facts.share_train_after_test:.1%} of training "
        "events are later than the first test event.",
        "Every model saw: "
        + ", ".join(f"{key} {value}" for key, value in board.settings.items())
        + f". Split hash {facts.split_hash[:12]}.",
    ]


INTERVALS = (
    "± is the standard deviation over seeds. Brackets are 95% intervals over test users and seeds together; differences to the "
    "best are paired and hold for all pairs of rows at once. `=` marks the rows that may be the best: with 95% confidence, the "
    "truly best is among them (multiple comparisons with the best). Few seeds and few users make intervals wider; a row of one "
    "seed has the training noise of the other rows, or no interval but the whole range where none has several."
)
LEGEND = (
    f"{INTERVALS} Parameters are embedding + dense. FLOPs are of products and attention in a forward pass, a training example. "
    "`train s` is CPU time of all threads on a CPU, "
    "which other work on the machine hardly changes, and wall time on an accelerator; other times are wall time. "
    "Times and memory are of this run's machine; MB is the process peak on a CPU."
)


def slices(board: Board) -> list[list[str]]:
    """Header and a row for each model: the headline metric on parts of the test examples that are not empty."""
    parts = {name: part for name, part in board.rows[0].slices.items() if part.n}
    header = ["model", *(f"{name} (n = {part.n:,})" for name, part in parts.items())]
    body = [[row.label, *(_estimate(getattr(row.slices[name], board.headline)) for name in parts)] for row in board.rows]
    return [header, *body]


def labels(board: Board) -> list[list[str]]:
    """Header and a row for each model that predicts further labels; empty if none does."""
    names = sorted({name for row in board.rows for name in row.labels})
    body = [[row.label, *(_quality(row.labels.get(name)) for name in names)] for row in board.rows if row.labels]
    return [["model", *names], *body] if body else []


def _quality(part: Slice | None) -> str:
    return "-" if part is None else f"{_estimate(part.request_gauc)} / {_estimate(part.auc)}"


def _estimate(found: Estimate) -> str:
    return "-" if math.isnan(found.value) else f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"


def markdown_table(rows: list[list[str]]) -> list[str]:
    """Lines of a table; the first row is its header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def _main_table(board: Board, chosen: Sequence[int] | None = None) -> list[list[str]]:
    found = (cells(row, at == 0, board.headline) for at, row in enumerate(board.rows))
    rows = [columns(board.headline), *(tuple(cell.text for cell in row) for row in found)]
    return [[row[at] for at in chosen] if chosen is not None else list(row) for row in rows]


def brief(board: Board) -> str:
    """One line of facts, and the main table with its most important columns."""
    facts, seeds = board.facts, [len(row.seeds) for row in board.rows]
    counts = f"{min(seeds)} to {max(seeds)}" if min(seeds) < max(seeds) else f"{max(seeds)}"
    head = (
        f"**{board.dataset} @ {board.split}**: {facts.examples['test']:,} test examples, {board.request_groups:,} requests "
        f"in request GAUC, {counts} seed(s); {board.rows[0].device}, {board.rows[0].precision}."
    )
    return "\n\n".join((head, "\n".join(markdown_table(_main_table(board, BRIEF)))))


def to_brief(board: Board) -> str:
    """`brief` with what must stand beside it: for a README or a message."""
    return "\n\n".join((brief(board), INTERVALS)) + "\n"


def to_markdown(board: Board) -> str:
    """Facts, table, sentences, slices, failures."""
    parts = [
        f"# {board.dataset} @ {board.split}",
        "\n".join(facts(board)),
        "\n".join(markdown_table(_main_table(board))),
        LEGEND,
        "\n".join(f"- {line}" for line in board.statements),
        f"{shown(board.headline)} by slice:",
        "\n".join(markdown_table(slices(board))),
    ]
    if further := labels(board):
        parts += ["Request GAUC / AUC of further labels, all test examples:", "\n".join(markdown_table(further))]
    if board.failures:
        parts.append("Failed runs:\n" + "\n".join(f"- {line}" for line in board.failures))
    return "\n\n".join(part for part in parts if part) + "\n"


def _flat(row: Row) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in rounded(dataclasses.asdict(row)).items():
        if key in ("labels", "slices"):
            result[key] = json.dumps(finite(value))
        elif isinstance(value, dict):
            result |= {f"{key}.{inner}": entry for inner, entry in value.items()}
        elif isinstance(value, tuple | list):
            result[key] = " ".join(map(str, value))
        else:
            result[key] = value
    return result


def to_csv(board: Board) -> str:
    """One line a row, every number as it is kept."""
    rows = [_flat(row) for row in board.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_json(board: Board) -> str:
    """The whole board."""
    return as_json(rounded(board))


def from_json(text: str, where: str) -> Board:
    """The board that `to_json` wrote.

    Raises:
        UserError: it is not a whole board of this program; `where` names the file.
    """

    def broken(what: str) -> UserError:
        return UserError(f"board {where} {what}; make it again with rankbench board")

    return read(Board, text, broken)


def show(board: Board, console: Console) -> None:
    """The board in a terminal; narrow ones get the first columns."""
    header, *body = _main_table(board, None if console.width >= 205 else NARROW)
    table = Table(title=f"{board.dataset} @ {board.split}", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for at, column in enumerate(header):
        table.add_column(column, no_wrap=True, justify="left" if at == 0 or column == "family" else "right")
    for row, cells in zip(board.rows, body, strict=True):
        table.add_row(*cells, style="bold" if row.tied else "dim" if row.family == "floor" else "")
    console.print(*facts(board), sep="\n", highlight=False)
    console.print(table)
    if rows := labels(board):
        further = Table(
            title="Request GAUC / AUC of further labels", title_style="bold", header_style="bold", box=None, pad_edge=False
        )
        for column in rows[0]:
            further.add_column(column, no_wrap=True)
        for row in rows[1:]:
            further.add_row(*row)
        console.print(further)
    for line in (*board.statements, *(f"failed: {line}" for line in board.failures)):
        console.print(f"- {line}", highlight=False, markup=False)
    console.print(LEGEND.replace("`", ""), style="dim", highlight=False, markup=False)


def write(board: Board, folder: Path) -> list[Path]:
    """board.md, board.csv, board.json and brief.md in `folder`."""
    paths = []
    texts = {"board.md": to_markdown, "board.csv": to_csv, "board.json": to_json, "brief.md": to_brief}
    for name, render in texts.items():
        path = folder / name
        write_text(path, render(board))
        paths.append(path)
    return paths
