"""A board as Markdown, CSV, JSON (and back from it), and in the terminal."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from ..analysis.comparison import HEADLINES, HeadlineMetric, OfLabel, Row
from ..analysis.leaderboard import Board, Failure
from ..analysis.parts import SliceOfTest
from ..atomic import write_text
from ..errors import UserError
from ..evaluation.cards import shown
from ..evaluation.stats import LEAST_USERS, Estimate, Metric, ModelInterval
from ..typed import as_json, finite, plain, read
from .words import difference, level, sentences


class TableCell(NamedTuple):
    """Of the main table."""

    column: str
    """Header."""
    text: str
    key: float | str
    """What sorts its column."""


BRIEF = ("model", "family", "main", "to the best", "other", "logloss", "train s", "ms / 100 candidates")
"""Columns that a README has room for; `main` is the headline metric, `other` the second one."""

NARROW = ("model", "main", "to the best", "other", "logloss", "train s")
"""Columns that a narrow terminal has room for."""

LOADED = "†"
"""Behind a time that may be compared with nothing."""


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


def other_headline(metric: HeadlineMetric) -> HeadlineMetric:
    """The second metric that verdicts are given by."""
    return next(other for other in HEADLINES if other != metric)


def cells(row: Row, board: Board) -> dict[str, TableCell]:
    """A row of the main table: name of a column -> cell, in order. Names do not depend on the headline, headers do."""
    made: dict[str, TableCell] = {}

    def put(name: str, text: str, key: float | str | None, header: str = "") -> None:
        made[name] = TableCell(header or name, text, math.nan if key is None else key)

    put("model", row.label + (" =" if marked(row, board) else ""), row.label)
    put("family", row.family, row.family)
    put("seeds", str(len(row.seeds)), len(row.seeds))
    both: tuple[tuple[str, HeadlineMetric, str], ...] = (
        ("main", board.headline, "to the best"),
        ("other", other_headline(board.headline), "other to the best"),
    )
    for name, metric, apart in both:
        found, title = row.quality[metric], shown(metric)
        put(name, spread(found.point, found.seed_sd), found.point, title)
        put(f"95% of {name}", interval(found), found.low, f"95% of {title}")
        put(apart, to_best(row, board, metric), found.difference, "to the best" if name == "main" else f"{title} to the best")
    user_gauc = row.quality["user_gauc"].point
    put("user_gauc", number(user_gauc), user_gauc, shown("user_gauc"))
    for name, title in (("request_ndcg@10", "request NDCG@10"), ("request_mrr", "request MRR")):
        put(name, number(row.means[name]), row.means[name], title)
    put("logloss", number(row.quality["logloss"].point), row.quality["logloss"].point)
    for name, title in (("ne", "NE"), ("ece", "ECE"), ("ece_floor", "ECE floor")):
        put(name, number(row.means[name]), row.means[name], title)
    parameters = row.parameters_embedding + row.parameters_dense
    put("parameters", f"{count(row.parameters_embedding)} + {count(row.parameters_dense)}", parameters)
    put("FLOPs", count(round(row.flops_per_example)), row.flops_per_example)
    loaded = "" if row.comparable else f" {LOADED}"
    put("train s", f"{row.train_seconds:.1f}{loaded}", row.train_seconds)
    put("examples/s", f"{row.examples_per_second:,.0f}{loaded}", row.examples_per_second)
    put("ms / 100 candidates", f"{row.latency_ms:.1f}{loaded}", row.latency_ms)
    put("MB", f"{row.peak_memory_mb:.0f}", row.peak_memory_mb)
    if with_energy(board):
        kilojoules = None if row.train_joules is None else row.train_joules / 1e3
        put("train kJ", number(kilojoules, 1) + (loaded if kilojoules is not None else ""), kilojoules)
    return made


def with_energy(board: Board) -> bool:
    """Whether the hardware counted energy for any row."""
    return any(row.train_joules is not None for row in board.rows)


def legend(boards: Iterable[Board]) -> str:
    """What must be known to read the main tables of boards."""
    return f"{LEGEND} {ENERGY}" if any(map(with_energy, boards)) else LEGEND


def marked(row: Row, board: Board) -> bool:
    """Whether a row other than the first may be the best by the headline."""
    return row is not board.rows[0] and row.quality[board.headline].among_best


def to_best(row: Row, board: Board, metric: Metric) -> str:
    """The difference to the row with the best value."""
    found = row.quality[metric]
    if math.isnan(found.point):
        return "-"
    highest = max((other.quality[metric].point for other in board.rows), default=math.nan)
    apart = Estimate(found.difference, found.difference_low, found.difference_high)
    return "best" if found.point == highest and found.difference == 0 else difference(apart)


def facts(board: Board) -> list[str]:
    """What every model saw and was asked, in sentences."""
    facts = board.facts
    return [
        f"{facts.examples['test']:,} test examples in {board.request_groups + board.request_groups_dropped:,} requests, of which "
        f"{board.request_groups:,} hold both labels and are ranked; {facts.examples['train']:,} training and "
        f"{facts.examples['valid']:,} validation examples.",
        f"{facts.test_rows_warm_user:.1%} of the test examples belong to users with training events, "
        f"{facts.test_rows_warm_item:.1%} to items with training events. {facts.share_train_after_test:.1%} of training "
        "events are later than the first test event.",
        "Every model saw: "
        + ", ".join(f"{key} {value}" for key, value in board.settings.items())
        + f". Two rows are equivalent if the 95% interval of their difference lies within ±{board.margin:g}. "
        f"Split hash {facts.split_hash[:12]}, content hash {facts.content_hash[:12]}.",
    ]


INTERVALS = (
    "± is the standard deviation over seeds. Brackets are 95% intervals over test users and seeds together; differences to the "
    "best are paired and hold for all pairs of rows together. `=` marks the rows that are not distinguishable from the best: "
    "with 95% confidence, the truly best one is the first row or one of these."
)
LEGEND = (
    f"{INTERVALS} A row of one seed borrows the training noise of the other rows. Parameters are embedding + dense. FLOPs are of "
    "products and attention in a forward pass, per training example. `train s` and `ms / 100 candidates` are CPU time of all "
    f"threads on a CPU and wall time on an accelerator; {LOADED} marks times of runs that began on a machine with more work than "
    "cores, which may be compared with nothing. Times and memory are of this run's machine; MB is the process peak on a CPU."
)

ENERGY = (
    "`train kJ` is what the hardware counted during training and validation: on a CPU of all processors, elsewhere of the "
    "accelerators, idle power and whatever else ran on them included."
)


def parts(board: Board, metric: HeadlineMetric) -> list[list[str]]:
    """Header and a row for each slice that holds examples: the best row of each family, and paired differences with a verdict."""
    found = [part for part in board.parts if part.metric == metric and part.n]
    pairs = next(((pair.one, pair.other) for part in found for pair in part.pairs[:1]), ())
    labels = list(dict.fromkeys((*pairs, *(row.label for row in board.best_of_families(metric)))))
    compared = list(dict.fromkeys((pair.one, pair.other) for part in found for pair in part.pairs))
    header = ["slice", "examples", "users", *labels, *(f"{one} minus {other}" for one, other in compared)]
    return [header, *([part.name, f"{part.n:,}", f"{part.users:,}", *_of_part(part, labels)] for part in found)]


def _of_part(part: SliceOfTest, labels: list[str]) -> list[str]:
    if not part.trusted:
        few = f"fewer than {LEAST_USERS} {part.lacks}"
        return [number(part.values[label].value) for label in labels] + [few for _ in part.pairs]
    told = [f"{difference(pair.difference)}, {pair.verdict}" for pair in part.pairs]
    return [level(part.values[label]) for label in labels] + told


def labels(board: Board) -> list[list[str]]:
    """Header and a row for each model that predicts further labels; empty if none does."""
    names = sorted({name for row in board.rows for name in row.labels})
    body = [[row.label, *(_of_label(row.labels.get(name)) for name in names)] for row in board.rows if row.labels]
    return [["model", *names], *body] if body else []


def _of_label(found: OfLabel | None) -> str:
    return "-" if found is None else f"{number(found.request_gauc)} / {number(found.auc)}"


LABELS = f"{shown('request_gauc')} / {shown('auc')} of further labels, all test examples, mean over seeds"


def failure(one: Failure) -> str:
    """A run that is no part of the board, in words."""
    name = f"{one.model}/{one.config_hash}/seed-{one.seed}"
    return f"{name}: left out, its scores are not here" if one.why == "no scores" else f"{name}: {one.error}"


def markdown_table(rows: list[list[str]]) -> list[str]:
    """Lines of a table; the first row is its header."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def main_table(board: Board, chosen: Collection[str] | None = None) -> list[list[str]]:
    """Header and rows, all columns or the chosen ones."""
    rows = [cells(row, board) for row in board.rows]
    kept = [name for name in rows[0] if chosen is None or name in chosen]
    return [[rows[0][name].column for name in kept], *([row[name].text for name in kept] for row in rows)]


def name(board: Board) -> str:
    """Data set, split and, of a variant, the settings that make it."""
    return f"{board.dataset} @ {board.split}" + (f" + {board.variant}" if board.variant else "")


def brief(board: Board) -> str:
    """One line of facts, and the main table with its most important columns."""
    facts, seeds = board.facts, [len(row.seeds) for row in board.rows]
    counts = f"{min(seeds)} to {max(seeds)}" if min(seeds) < max(seeds) else f"{max(seeds)}"
    devices, precisions = (sorted({of for row in board.rows for of in getattr(row, what)}) for what in ("devices", "precisions"))
    head = (
        f"**{name(board)}**: {facts.examples['test']:,} test examples, {board.request_groups:,} requests with both labels, "
        f"{counts} seed{'' if max(seeds) == 1 else 's'}; {', '.join(devices)}, {', '.join(precisions)}."
    )
    return "\n\n".join((head, "\n".join(markdown_table(main_table(board, BRIEF)))))


def to_brief(board: Board) -> str:
    """`brief` with what must stand beside it: for a README or a message."""
    return "\n\n".join((brief(board), INTERVALS)) + "\n"


def to_markdown(board: Board) -> str:
    """Statements, table, facts, slices, failures."""
    lines = [
        f"# {name(board)}",
        "\n".join(f"- {line}" for line in sentences(board.statements)),
        "\n".join(markdown_table(main_table(board))),
        legend([board]),
        "\n".join(facts(board)),
    ]
    for metric in board.headlines:
        title = f"{shown(metric)} by slice of the test examples; each interval is a single comparison of its own slice, post hoc:"
        lines += [title, "\n".join(markdown_table(parts(board, metric)))]
    if further := labels(board):
        lines += [f"{LABELS}:", "\n".join(markdown_table(further))]
    if board.failures:
        lines.append("Failed runs and those without scores:\n" + "\n".join(f"- {failure(one)}" for one in board.failures))
    return "\n\n".join(line for line in lines if line) + "\n"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as one line of a table, keys joined by dots; lists as words."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return result


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Flat rows; a column that some lack is empty there."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_csv(board: Board) -> str:
    """One line a row, every number in full."""
    return as_csv([flat(finite(_plain(row))) for row in board.rows])


def _plain(row: Row) -> dict[str, Any]:
    """Settings and labels as one cell each: rows do not share their keys."""
    values = plain(row)
    return values | {name: json.dumps(finite(values[name])) for name in ("changes", "labels")}


def to_json(board: Board) -> str:
    """The whole board, its statements as typed values."""
    return as_json(board)


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
    header, *body = main_table(board, None if console.width >= 280 else NARROW)
    table = Table(title=name(board), title_style="bold", header_style="bold", box=None, pad_edge=False)
    for at, column in enumerate(header):
        table.add_column(column, no_wrap=True, justify="left" if at == 0 or column == "family" else "right")
    for row, texts in zip(board.rows, body, strict=True):
        best = row is board.rows[0] or marked(row, board)
        table.add_row(*texts, style="bold" if best else "dim" if row.family == "floor" else "")
    console.print(*facts(board), sep="\n", highlight=False)
    console.print(table)
    if rows := labels(board):
        further = Table(title=LABELS, title_style="bold", header_style="bold", box=None, pad_edge=False)
        for column in rows[0]:
            further.add_column(column, no_wrap=True)
        for texts in rows[1:]:
            further.add_row(*texts)
        console.print(further)
    for line in (*sentences(board.statements), *(f"not on the board: {failure(one)}" for one in board.failures)):
        console.print(f"- {line}", highlight=False, markup=False)
    console.print(legend([board]).replace("`", ""), style="dim", highlight=False, markup=False)


def write(board: Board, folder: Path) -> list[Path]:
    """board.md, board.csv, board.json and brief.md in `folder`."""
    paths = []
    texts = {"board.md": to_markdown, "board.csv": to_csv, "board.json": to_json, "brief.md": to_brief}
    for file, render in texts.items():
        path = folder / file
        write_text(path, render(board))
        paths.append(path)
    return paths
