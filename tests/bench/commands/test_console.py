"""Tables in the terminal show what stands in their cells, whatever its signs."""

from __future__ import annotations

import pytest
from rich.table import Table

from rankbench.bench.commands.console import table_console


def test_settings_in_brackets_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="of [mine]")
    table.add_column("[bold]")
    table.add_row("hstu [user_id=none] [red]")
    console = table_console()
    console.print(table)
    console.print("results: [a]/folder")
    said = capsys.readouterr().out
    assert all(text in said for text in ("of [mine]", "[bold]", "hstu [user_id=none] [red]", "results: [a]/folder"))
