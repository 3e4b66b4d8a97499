"""All boards of a results folder on one Markdown page: their answers first, then their brief tables."""

from __future__ import annotations

from . import answers, tables
from .contents import BoardFiles, Contents


def to_markdown(contents: Contents, folder: str) -> str:
    """The page.

    Args:
        folder: from the page to the results folder, for links and commands; `.` if the page lies in it.
    """
    parts = [
        "# Leaderboard",
        f"Made by `rankbench report --results {folder} --markdown` from the boards in [{folder}]({folder}), and by nothing else. "
        "A board answers one question: does a generative ranker beat a classical one on this data, and at what cost?",
        "\n".join(f"- **{_name(files)}**: {answers.answer(files.board)}" for files in contents.boards),
        tables.INTERVALS,
        *(_section(files, folder) for files in contents.boards),
    ]
    return "\n\n".join(parts) + "\n"


def _name(files: BoardFiles) -> str:
    store = f" ({files.store})" if files.store else ""
    return f"{files.board.dataset} @ {files.board.split}{store}"


def _section(files: BoardFiles, folder: str) -> str:
    board = files.board
    place = "/".join(part for part in (folder, files.store, "boards", f"{board.dataset}@{board.split}", "board.md") if part != "")
    said = (answers.best_rows(board), *answers.pairs(board), answers.cost(board), answers.untuned(board))
    limits = [line for line in board.statements if " minus " not in line and not line.startswith("Not distinguishable")]
    lines = [answers.answer(board), *filter(None, said), *limits, f"All columns, slices and failures: [board]({place})."]
    return "\n\n".join((f"## {_name(files)}", tables.brief(board), "\n".join(f"- {line}" for line in lines)))
