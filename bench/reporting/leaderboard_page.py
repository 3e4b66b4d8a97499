"""All boards of a results folder on one Markdown page: the summary, then where each board is."""

from __future__ import annotations

from . import board_files, summary
from .results_folder import BoardFiles, Contents


def to_markdown(contents: Contents, folder: str) -> str:
    """The page.

    Args:
        folder: from the page to the results folder, for links and commands; `.` if the page lies in it.
    """
    parts = [
        "# Leaderboard",
        f"Made by `rankbench report --results {folder} --markdown` from the boards in [{folder}]({folder}), and by nothing else. "
        "A board answers one question: does a generative ranker beat a classical one on this data, and at what cost?",
    ]
    for metric, rows in summary.tables(contents.boards).items():
        linked = [
            [f"[{row[0]}]({_place(files, folder)})", *row[1:]] for files, row in zip(contents.boards, rows[1:], strict=True)
        ]
        parts += [f"## {summary.caption(metric)}", "\n".join(board_files.markdown_table([rows[0], *linked]))]
    parts += [
        summary.LEGEND,
        "Each name leads to its board: all rows and columns, every statement with its interval, slices and failures. "
        f"`rankbench report --results {folder}` makes one page of all boards, studies and sweeps with their figures.",
    ]
    return "\n\n".join(parts) + "\n"


def _place(files: BoardFiles, folder: str) -> str:
    return "/".join(part for part in (folder, files.store, "boards", files.place, "board.md") if part)
