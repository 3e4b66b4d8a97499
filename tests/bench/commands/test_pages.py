"""Pages that are made of the code are what the code says now."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.commands import COMMANDS
from rankbench.bench.commands.ls import PAGES
from rankbench.bench.config import DataConfig, TrainConfig

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference"


@pytest.mark.parametrize("kind", PAGES)
def test_the_committed_page_is_up_to_date(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", kind, "--markdown"]) == 0
    assert capsys.readouterr().out == (DOCS / PAGES[kind]).read_text(), "make docs"


def test_every_setting_and_every_command_has_its_place() -> None:
    settings, commands = (DOCS / "settings.md").read_text(), (DOCS / "commands.md").read_text()
    data, train = settings.partition("## data")[2].split("## train")
    for text, config in ((data, DataConfig), (train, TrainConfig)):
        assert all(f"\n| `{field.name}` | " in text for field in dataclasses.fields(config))
    assert all(f"\n## rankbench {name}\n" in commands for name in COMMANDS)
    assert "\n### rankbench speed kernels\n" in commands and "| `--seeds N` | " in commands
