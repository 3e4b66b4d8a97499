"""Where commands print their tables."""

from __future__ import annotations

from rich.console import Console


def table_console() -> Console:
    """A console in which no text is markup: labels of rows hold settings in brackets, which rich would leave out as styles.

    A pipe or a file has room for every column.
    """
    return Console(width=None if Console().is_terminal else 160, markup=False)
