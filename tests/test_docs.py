"""What pages say in code is accepted by the program: descriptions of tables, commands, names of settings."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml

from rankbench.bench.commands import COMMANDS
from rankbench.bench.commands.parser import Parser
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data.sources.files import MISSING
from rankbench.bench.data.sources.table_config import TableConfig
from rankbench.bench.data.sources.table_description import describe_table
from rankbench.bench.reporting.site.dialect import translated

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
TABLES = [
    pytest.param(text, id=f"{name}-{at}")
    for name, page in TEXTS.items()
    for at, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    if re.search(r"^events:", text, re.MULTILINE)
]
COMMAND = re.compile(r"^(?:\.venv/bin/)?(rankbench [^#\n]*)", re.MULTILINE)
CALLS = sorted(
    {
        (name, call.removesuffix("&").strip())
        for name, page in TEXTS.items()
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        for line in COMMAND.findall(block)
        for call in line.split("&&")
        if call.strip().startswith("rankbench ")
    }
)


@pytest.mark.parametrize("text", TABLES)
def test_every_description_of_a_table_is_sound(text: str) -> None:
    described = describe_table(Path("shop.yaml"), yaml.safe_load(text))
    assert described.label


def test_one_page_describes_a_table_with_every_key_that_goes_with_the_others() -> None:
    full = max((value for param in TABLES for value in param.values if isinstance(value, str)), key=len)
    assert TableConfig.__dataclass_fields__.keys() - yaml.safe_load(full).keys() == {"header", "time_origin", "impressions"}


def test_the_page_of_own_data_names_every_word_for_what_is_missing() -> None:
    assert all(f"`{word}`" in TEXTS["docs/howto/own-data.md"] for word in MISSING if word)


@pytest.fixture(scope="module")
def program() -> Parser:
    parser = Parser(prog="rankbench", description="")
    parser.add_modules("command", "rankbench.bench.commands", COMMANDS)
    return parser


@pytest.mark.parametrize(("page", "call"), CALLS, ids=lambda part: part)
def test_every_command_of_a_page_is_one(page: str, call: str, program: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    """Its verbs and options exist; nothing runs. Settings in it exist too."""
    words = shlex.split(call)[1:]
    try:
        program.parse_args(words)
    except SystemExit:
        pytest.fail(f"{page}: {call}: {capsys.readouterr().err.strip()}")
    known = {"data": DataConfig, "train": TrainConfig}
    for setting in (word.partition("=")[0] for before, word in itertools.pairwise(words) if before == "--set"):
        section, _, key = setting.removeprefix("hstu.").removeprefix("din.").partition(".")
        if section in known:
            assert key in known[section].__dataclass_fields__, f"{page}: there is no setting {setting}"


def test_a_list_behind_a_paragraph_and_a_bar_in_code_are_translated() -> None:
    fenced = "```sh\na \\| b\n- c\n```\n"
    assert translated(f"Said:\n- one\n  more\n- two\n\n{fenced}") == f"Said:\n\n- one\n    more\n- two\n\n{fenced}"
    assert translated("1. first\n   - inner\n") == "1. first\n    - inner\n"
    assert translated("| a |\n|---|\n| `x \\| y` \\| z |\n") == "| a |\n|---|\n| `x | y` \\| z |\n"
