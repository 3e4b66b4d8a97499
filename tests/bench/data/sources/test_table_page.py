"""docs/data.md holds every key of a table's YAML file, with its values and default, and its examples are ones."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest
import yaml

from rankbench.bench.data.cleaning import _RESERVED
from rankbench.bench.data.sources.files import MISSING
from rankbench.bench.data.sources.schema import Feature
from rankbench.bench.data.sources.table_config import Columns, TableConfig
from rankbench.bench.data.sources.table_description import describe_table
from rankbench.bench.data.splits import SPLITS

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "data.md").read_text()
PARTS = re.split(r"\A|\nA feature is a column name", PAGE)[-2:]
TABLES = [dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", part, re.MULTILINE)) for part in PARTS]


@pytest.mark.parametrize(("rows", "config"), [(TABLES[0], TableConfig), (TABLES[1], Feature)])
def test_the_page_has_every_key_with_its_values_and_default(rows: dict[str, str], config: type) -> None:
    hints = typing.get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(config)}
    assert rows.keys() == fields.keys()
    for name, text in rows.items():
        for value in typing.get_args(hints[name]) if typing.get_origin(hints[name]) is typing.Literal else ():
            assert f"`{value}`" in text, f"{name} lacks {value}"
        default = fields[name].default
        if isinstance(default, bool | str | int | float) and default != "":
            shown = {" ": "one space", "True": "true", "0.0": "0"}.get(str(default), str(default))
            assert re.search(rf"\| `?{re.escape(shown)}`?$", text), f"{name} has the default {shown}"


def test_the_page_names_all_roles_splits_reserved_columns_and_missing_words() -> None:
    for role in Columns.__dataclass_fields__:
        assert f"`{role}`" in TABLES[0]["columns"]
    assert all(f"`{split}`" in TABLES[0]["default_split"] for split in SPLITS)
    assert all(re.search(rf"\b{name}\b", TABLES[1]["column"]) for name in _RESERVED)
    assert all(f"`{word}`" in PAGE for word in MISSING if word)


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_are_sound(text: str) -> None:
    described = describe_table(Path("shop.yaml"), yaml.safe_load(text))
    assert described.name == "shop" and described.label


def test_the_full_example_has_every_key_that_goes_with_the_others() -> None:
    full = max(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL), key=len)
    absent = {field.name for field in dataclasses.fields(TableConfig)} - yaml.safe_load(full).keys()
    assert absent == {"header", "time_origin", "impressions"}
