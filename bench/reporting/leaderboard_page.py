"""All boards of a results folder on one Markdown page: a short table first, then each board's answer and brief table."""

from __future__ import annotations

from ..analysis.comparison import HEADLINES, HeadlineMetric
from ..analysis.leaderboard import Board
from ..analysis.statements import Costs, Families, MissingFamily, Untuned, of_kind
from ..evaluation.cards import shown
from . import board_files
from .results_folder import BoardFiles, Contents
from .words import difference, sentence

BESIDE = (Untuned, MissingFamily)
"""Kinds that the short table says already."""


def to_markdown(contents: Contents, folder: str) -> str:
    """The page.

    Args:
        folder: from the page to the results folder, for links and commands; `.` if the page lies in it.
    """
    parts = [
        "# Leaderboard",
        f"Made by `rankbench report --results {folder} --markdown` from the boards in [{folder}]({folder}), and by nothing else. "
        "A board answers one question: does a generative ranker beat a classical one on this data, and at what cost?",
        "\n".join(board_files.markdown_table(short(contents.boards))),
        "Each cell of a verdict is the best generative minus the best classical row by that metric, with a 95% interval over "
        "test users and seeds that holds for all pairs of rows together, because both were chosen by the same numbers. Seconds "
        "are those of training, the best generative and the best classical row, where they may be compared.",
        board_files.INTERVALS,
        *(_section(files, folder) for files in contents.boards),
    ]
    return "\n\n".join(parts) + "\n"


def short(boards: tuple[BoardFiles, ...]) -> list[list[str]]:
    """Header and a line per board."""
    header = ["data set", "tuned", "best generative", "best classical", *(shown(metric) for metric in HEADLINES), "train s"]
    return [header, *(_line(files) for files in boards)]


def _line(files: BoardFiles) -> list[str]:
    board = files.board
    best = [board.best(family) for family in ("generative", "classical")]
    return [
        f"[{_name(files)}](#{anchor(_name(files))})",
        "yes" if any(row.tuned for row in board.rows) else "no",
        *("-" if row is None else row.label for row in best),
        *(_verdict(board, metric) for metric in HEADLINES),
        _seconds(board),
    ]


def _verdict(board: Board, metric: HeadlineMetric) -> str:
    answer = next((one for one in of_kind(board.statements, Families) if one.pair.metric == metric), None)
    if answer is None:
        return "-"
    own = board.best("generative"), board.best("classical")
    others = [
        label for label, row in zip((answer.pair.one, answer.pair.other), own, strict=True) if row is None or row.label != label
    ]
    named = f" ({', '.join(others)})" if others else ""
    return f"**{answer.pair.verdict}** {difference(answer.pair.difference)}{named}"


def _seconds(board: Board) -> str:
    costs = of_kind(board.statements, Costs)
    return "-" if not costs else f"{costs[0].generative.train_seconds:.0f} / {costs[0].classical.train_seconds:.0f}"


def anchor(heading: str) -> str:
    """The name under which a heading of a Markdown page is linked to."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _name(files: BoardFiles) -> str:
    return board_files.name(files.board) + (f" ({files.store})" if files.store else "")


def _section(files: BoardFiles, folder: str) -> str:
    board = files.board
    place = "/".join(part for part in (folder, files.store, "boards", files.place, "board.md") if part != "")
    said = [sentence(one) for one in board.statements if not isinstance(one, BESIDE)]
    lines = [*said, f"All columns, slices and failures: [board]({place})."]
    return "\n\n".join((f"## {_name(files)}", board_files.brief(board), "\n".join(f"- {line}" for line in lines)))
