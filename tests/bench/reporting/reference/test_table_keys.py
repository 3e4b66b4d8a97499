"""The page of a table's keys: nothing of the schema is missing, and every example is one."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest
import yaml

from rankbench.bench.data.cleaning import _RESERVED
from rankbench.bench.data.sources.schema import Feature
from rankbench.bench.data.sources.table_config import Columns, TableConfig
from rankbench.bench.data.sources.table_description import describe_table
from rankbench.bench.data.splits import SPLITS
from rankbench.bench.reporting.reference.table_keys import rows

KEYS = [(config, row) for config in (TableConfig, Columns, Feature) for row in rows(config)[1:]]
SMALLEST = {"events": "clicks.csv", "label": "click"}


@pytest.mark.parametrize(("config", "row"), KEYS, ids=lambda part: part[0] if isinstance(part, list) else "")
def test_every_key_has_a_type_a_default_an_example_and_a_meaning(config: type, row: list[str]) -> None:
    assert all(cell.strip("`") for cell in row)
    hint = typing.get_type_hints(config)[row[0].strip("`")]
    named = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    assert all(value in row[1] for value in named)


@pytest.mark.parametrize("row", rows(TableConfig)[1:], ids=lambda row: row[0])
def test_every_example_is_accepted(row: list[str]) -> None:
    example = yaml.safe_load(f"{row[0].strip('`')}: {row[3].strip('`')}")
    described = describe_table(Path("clicks.yaml"), {**SMALLEST, **example})
    (name, value), config = next(iter(example.items())), dataclasses.asdict(described.config)
    assert value != SMALLEST.get(name) and config[name] in (
        value,
        tuple(value) if isinstance(value, list) else (value,),
        f"{value}",
    )


def test_reserved_names_and_splits_are_those_of_the_code() -> None:
    says = {row[0].strip("`"): row[4] for _, row in KEYS}
    assert all(name in says["column"] for name in _RESERVED)
    assert all(f"`{split}`" in says["default_split"] for split in SPLITS)
